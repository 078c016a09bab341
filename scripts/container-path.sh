#!/usr/bin/env bash
# Tries the test bed's container step against a real Docker engine, with no registry.
#
# usage: scripts/container-path.sh            as root, on Debian or Ubuntu
#
# Starts an engine of its own, gives it an image made from the redis-server of this machine
# under the tag that the lessons ask for, and runs the tests of that step alone
# (TESTBED_ONLY=container).
#
# Nothing is left behind, however this ends: the engine runs in namespaces of its own, so
# its processes, bridge, firewall rules, mounts and data go with them. An engine that is
# running already is not touched. No network is needed once the crates are downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly image=redis:7.2.4 # as in crates/containers/src/main.rs
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

# Installs packages without starting their services: none was running before.
install() {
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null
  apt-get install -y -q --no-install-recommends "$@" >/dev/null
  if [ -n "$(trap -p EXIT)" ]; then
    rm -f $policy
    trap - EXIT
  fi
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

  # The program and the libraries that it names: Debian's Redis, without Debian.
  local server root=$work/root
  server=$(command -v redis-server)
  mkdir -p $root/usr/local/bin $root/tmp
  cp -L "$server" $root/usr/local/bin/redis-server
  ldd "$server" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
  tar -C $root -c . |
    docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$image" >/dev/null
  say "imported $("$server" --version | grep -o 'v=[^ ]*') as $image"

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

if [ "${1-}" = --inside ]; then inside; else outside; fi
