#!/usr/bin/env bash
# Fuzzes the gateway by its own OpenAPI description: schemathesis, from PyPI, in a folder of target/.
# Whatever is sent, nothing may come back as a 5xx, nor in a form that the description does not know.
#
#   scripts/fuzz-shop.sh [EXAMPLES]     how many requests to draw for each operation; 40
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

examples=${1:-40}
room=$PWD/target/fuzz
fuzzer=$room/venv/bin/schemathesis
if ! [ -x "$fuzzer" ]; then
  python3 -m venv "$room/venv" 2>/dev/null || {
    # Debian's python3 comes without venv.
    [ "$(id -u)" -eq 0 ] || { echo "next: sudo apt-get install python3-venv"; exit 1; }
    apt-get install -y --no-install-recommends python3-venv >/dev/null
    python3 -m venv "$room/venv"
  }
  "$room/venv/bin/pip" install --quiet schemathesis==4.32.5
fi

cargo build --quiet --package shop
data=$(mktemp -d)
port=$((21000 + $$ % 900 * 10))
shop=
trap '[ -z "$shop" ] || kill "$shop" 2>/dev/null; wait; rm -rf "$data"' EXIT
RUST_LOG=error target/debug/shop up --port "$port" --data "$data" >"$data/told" 2>"$data/log" &
shop=$!
for _ in $(seq 300); do
  grep -q "ready in" "$data/told" && break
  sleep 0.1
done

url=http://127.0.0.1:$port
login='{"email": "staff@example.org", "password": "staff only"}'
token=$(curl --silent --fail --header 'content-type: application/json' --data "$login" "$url/api/tokens" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')

# One client that asks as fast as it can is what the limiter is for, and 429 to everything would
# prove nothing: off. `cargo test -p shop limits` asks what it does.
off='{"flags": {"pattern.limiter": {"defaultVariant": "off"}}}'
curl --silent --fail --request PUT --data "$off" "$url/flags" >/dev/null

# Left out: what asks for more than the description can say, such as that 1.0 is no whole number
# to us, and that an address with two dots in a row is none.
(cd "$data" && "$fuzzer" run "$url/openapi.json" --header "Authorization: Bearer $token" \
  --phases examples,coverage,fuzzing --max-examples "$examples" --seed 1 --checks all \
  --exclude-checks positive_data_acceptance --continue-on-failure --workers 2 \
  --request-timeout 40 --no-color)

if grep -E "ERROR|panicked" "$data/log"; then
  echo "the shop's log speaks of failures"
  exit 1
fi
kill -0 "$shop"
