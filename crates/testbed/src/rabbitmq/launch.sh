# Starts a broker that keeps to its room, which is the folder that this runs in.
#
# usage: sh -c "$(cat launch.sh)" NAME PROGRAM ARGUMENTS...
#
# Where nobody supervises it (TESTBED_ENDS_AFTER), the room goes when the broker does, however
# that ends: the broker holds one end of a pipe, which the kernel closes.

room=$(pwd)
program=$1
shift

# On Debian and Fedora the program on PATH changes the user first, and wants to be root.
inner=$(dirname "$program")/../lib/rabbitmq/bin/rabbitmq-server
[ -x "$inner" ] && program=$inner

# Nobody's settings but ours.
for name in $(env | sed -n 's/^\(RABBITMQ_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
# The cookie is written there.
HOME=$room
RABBITMQ_CONF_ENV_FILE=/dev/null
RABBITMQ_NODENAME=testbed@localhost
RABBITMQ_MNESIA_BASE=$room/mnesia
RABBITMQ_LOG_BASE=$room
RABBITMQ_LOGS=-
RABBITMQ_CONFIG_FILE=$room/none
RABBITMQ_ADVANCED_CONFIG_FILE=$room/advanced.config
RABBITMQ_ENABLED_PLUGINS_FILE=$room/enabled_plugins
# The shell that the script would stay as hands no signal on.
RABBITMQ_ALLOW_INPUT=1
ERL_CRASH_DUMP=/dev/null
export HOME RABBITMQ_CONF_ENV_FILE RABBITMQ_NODENAME RABBITMQ_MNESIA_BASE RABBITMQ_LOG_BASE \
  RABBITMQ_LOGS RABBITMQ_CONFIG_FILE RABBITMQ_ADVANCED_CONFIG_FILE RABBITMQ_ENABLED_PLUGINS_FILE \
  RABBITMQ_ALLOW_INPUT ERL_CRASH_DUMP

if [ "$TESTBED_ENDS_AFTER" ]; then
  mkfifo gone
  (
    cd /
    trap '' HUP INT TERM
    # Of whoever has started us this must not hold anything open.
    exec </dev/null >/dev/null 2>&1
    read -r _ <"$room/gone"
    rm -rf "$room"
  ) &
  exec 9>gone
  rm gone
fi
exec "$program" "$@"
