# Keeps one server for an owner who may die at any moment, kill -9 included.
#
# usage: sh supervise.sh BASE FAREWELL PROGRAM ARGUMENTS...
#
# Standard input is a pipe that only the owner can write to: "start" starts the server,
# any line while it runs ends it by the signal FAREWELL, and the end of the pipe, which
# comes however the owner dies, does so too and removes its room. Standard output carries the server's log and the
# lines that begin with "supervisor:".

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

# A frozen server hears nothing but KILL before it is woken. One that does not end by itself
# is killed after ten seconds.
end() {
  { kill -s $farewell $server; kill -s CONT $server; } 2>/dev/null
  tries=0
  while [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -9 $server
}

while read -r order; do
  [ "$order" = start ] || continue
  "$@" </dev/null 3<&- & server=$!
  # The guard waits on the pipe so that this shell can wait for the server: whichever ends
  # first is noticed. `kill` cannot hit a stranger: an unreaped child keeps its number.
  ( read -r order <&3; end ) & guard=$!
  echo "supervisor: pid $server"
  wait $server; status=$?
  # The guard must be gone before the owner hears of the death, or it would swallow the
  # next order.
  { kill -9 $guard; wait $guard; } 2>/dev/null
  echo "supervisor: exited $status"
done

# A process that was killed may still be on its way out, and finish a file.
cd / && for try in 1 2 3 4 5; do
  rm -rf "$room" && break
  sleep 0.1
done
