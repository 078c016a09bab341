#!/usr/bin/env bash
# Tries the test bed's container step against a real Docker engine, with no registry.
#
# usage: scripts/container-path.sh            as root, on Debian or Ubuntu
#
# Starts an engine of its own, gives it images made from the Redis and the PostgreSQL of this
# machine under the tags that the lessons ask for, and runs the tests of that step alone
# (TESTBED_ONLY=container).
#
# Nothing is left behind, however this ends: the engine runs in namespaces of its own, so
# its processes, bridge, firewall rules, mounts and data go with them. An engine that is
# running already is not touched. No network is needed once the crates are downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh

# As in crates/containers/src/main.rs.
readonly redis=redis:7.2.4
readonly postgres=postgres:17
readonly group=container-path

say() { printf 'container-path: %s\n' "$*"; }
die() {
  printf 'container-path: %s\n' "$*" >&2
  exit 1
}

outside() {
  [ "$(id -u)" -eq 0 ] || die "an engine needs root; next: sudo $0"

  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v redis-server >/dev/null || missing+=(redis-server)
  [ -n "$(cluster)" ] || missing+=(postgresql)
  command -v ip >/dev/null || missing+=(iproute2)
  if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    install "${missing[@]}"
  fi

  say "building the test and the container client"
  cargo build --quiet --locked --manifest-path crates/containers/Cargo.toml \
    --target-dir target/containers
  cargo test --quiet -p testbed --test container --no-run

  # --kill-child: when this shell dies, so does every process in there.
  local status=0
  unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside || status=$?
  # Of all that an engine makes, only control groups outlive the namespaces.
  find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null || true
  return $status
}

# The folder of a PostgreSQL's programs and libraries, of the newest one, as Debian has it.
cluster() {
  find /usr/lib/postgresql -mindepth 1 -maxdepth 1 2>/dev/null | sort -V | tail -n 1
}

inside() {
  ip link set lo up
  # Seen in here only. The engine's files under /run would meet those of another engine.
  local work=/mnt
  mount -t tmpfs tmpfs $work
  mount -t tmpfs tmpfs /run

  # vfs works on every file system, overlay ones included; the image is small.
  export DOCKER_HOST=unix://$work/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root $work/data --exec-root $work/exec \
    --pidfile $work/docker.pid --storage-driver vfs --cgroup-parent /$group \
    >$work/log 2>&1 &
  local engine=$!
  for _ in $(seq 300); do
    if docker version >/dev/null 2>&1; then break; fi
    if ! kill -0 $engine 2>/dev/null; then break; fi
    sleep 0.1
  done
  docker version >/dev/null 2>&1 || {
    tail -n 15 $work/log >&2
    die "dockerd did not start"
  }
  say "the engine is up: $(dockerd --version)"

  local root=$work/redis
  mkdir -p $root/usr/local/bin $root/tmp
  cp -L "$(command -v redis-server)" $root/usr/local/bin/redis-server
  import $root "$redis" /usr/local/bin
  say "imported $(redis-server --version | grep -o 'v=[^ ]*') as $redis"

  # Its programs find each other and their data by their own place, and need a shell.
  local home version
  home=$(cluster) version=${home##*/} root=$work/postgres
  mkdir -p $root/bin $root/etc "$root$home" $root/usr/share/postgresql $root/tmp
  chmod 1777 $root/tmp
  cp -L /bin/sh $root/bin/sh
  cp -L /bin/rm $root/bin/rm
  cp -RL "$home/bin" "$home/lib" "$root$home/"
  cp -RL "/usr/share/postgresql/$version" $root/usr/share/postgresql/
  echo 'postgres:x:999:999::/tmp:/bin/sh' >$root/etc/passwd
  import $root "$postgres" "$home/bin:/bin"
  say "imported PostgreSQL $version as $postgres"

  CARGO_NET_OFFLINE=true TESTBED_ONLY=container \
    cargo test --quiet -p testbed --test container -- --ignored

  # The last test's container may still be on its way out.
  for _ in $(seq 100); do
    if [ -z "$(docker ps -aq)" ]; then
      kill $engine
      wait $engine || true
      say "passed, and no container is left"
      return
    fi
    sleep 0.1
  done
  docker ps -a >&2
  die "containers are left behind"
}

# import ROOT TAG PATH: an image of the programs in a folder and the libraries that they name,
# Debian's servers without Debian.
import() {
  local root=$1
  # ldd complains of what is no program; that is most of it.
  { find "$root" -type f -exec ldd {} + 2>/dev/null || true; } | grep -o '/[^ ():]*' | sort -u |
    while read -r library; do
      if [ -e "$root$library" ] || [ ! -f "$library" ]; then continue; fi
      mkdir -p "$root$(dirname "$library")"
      cp -L "$library" "$root$library"
    done
  tar -C "$root" -c . | docker import --change "ENV PATH=$3" - "$2" >/dev/null
}

if [ "${1-}" = --inside ]; then inside; else outside; fi
