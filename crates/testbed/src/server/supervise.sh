# Keeps one server for an owner who may die at any moment, kill -9 included.
#
# usage: sh supervise.sh BASE FAREWELL PROGRAM ARGUMENTS...
#
# Standard input is a pipe that only the owner can write to: "start" starts the server,
# any line while it runs ends it by the signal FAREWELL, and the end of the pipe, which
# comes however the owner dies, does so too and removes its room. Standard output carries
# the server's log and the lines that begin with "supervisor:".

# Ctrl-C and a closing terminal are for the owner; a vanished reader is no reason to leave
# the room behind.
trap '' INT HUP TERM PIPE
exec 2>&1 3<&0
# Whoever waits for a line of the log waits for its English.
LC_ALL=C
export LC_ALL

room=$(mktemp -d "$1/testbed.XXXXXX") && cd "$room" || exit 1
farewell=$2
shift 2
echo "supervisor: room $room"

# A frozen server hears nothing but KILL before it is woken, and one that has just been
# started may not listen yet: it is told until it has ended, and killed after ten seconds.
end() {
  tries=0
  while [ ! -e ended ] && [ $tries -lt 500 ]; do
    kill -$farewell $server
    kill -s CONT $server
    [ "$farewell" = 9 ] && return
    sleep 0.02
    tries=$((tries + 1))
  done 2>/dev/null
  [ -e ended ] || kill -9 $server
}

while read -r order; do
  [ "$order" = start ] || continue
  rm -f ending ended
  "$@" </dev/null 3<&- & server=$!
  # The guard waits on the pipe so that this shell can wait for the server: whichever ends
  # first is noticed. `kill` cannot hit a stranger: an unreaped child keeps its number.
  ( read -r order <&3; : >ending; end ) & guard=$!
  echo "supervisor: pid $server"
  wait $server; status=$?
  : >ended
  # A guard that still waits for an order must be gone before the owner hears of the death,
  # or it would swallow the next one. One that has had its order goes by itself: killed, it
  # would leave a `sleep` that in a container nobody buries.
  { [ -e ending ] || kill -9 $guard; wait $guard; } 2>/dev/null
  echo "supervisor: exited $status"
done

# A process that was killed may still be on its way out, and finish a file.
cd / && for try in 1 2 3 4 5; do
  rm -rf "$room" && break
  sleep 0.1
done
