# Keeps one server for an owner who may die at any moment, kill -9 included.
#
# usage: sh supervise.sh BASE PROGRAM ARGUMENTS...
#
# Standard input is a pipe that only the owner can write to: "start" starts the server,
# any line while it runs kills it, and the end of the pipe, which comes however the owner
# dies, kills it and removes its room. Standard output carries the server's log and the
# lines that begin with "supervisor:".

# Ctrl-C and a closing terminal are for the owner; a vanished reader is no reason to leave
# the room behind.
trap '' INT HUP TERM PIPE
exec 2>&1 3<&0

room=$(mktemp -d "$1/testbed.XXXXXX") && cd "$room" || exit 1
shift
echo "supervisor: room $room"

while read -r order; do
  [ "$order" = start ] || continue
  "$@" </dev/null 3<&- & server=$!
  # The guard waits on the pipe so that this shell can wait for the server: whichever ends
  # first is noticed. `kill` cannot hit a stranger: an unreaped child keeps its number.
  ( read -r order <&3; kill -9 $server ) & guard=$!
  echo "supervisor: pid $server"
  wait $server; status=$?
  # The guard must be gone before the owner hears of the death, or it would swallow the
  # next order.
  { kill -9 $guard; wait $guard; } 2>/dev/null
  echo "supervisor: exited $status"
done

cd / && rm -rf "$room"
