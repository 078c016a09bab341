#!/usr/bin/env bash
# Proves that the shop's dashboard tells the truth: a Prometheus, started as
# examples/shop/observe/compose.yaml does it, scrapes a shop in which customers buy, and is asked what
# each panel asks. No container and no registry.
#
#   scripts/prometheus-path.sh     as root on Debian it installs what is missing
#
# Nothing is left behind: data, port and process are the test's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/install.sh
observe=examples/shop/observe

if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "prometheus-path: installing prometheus"
    install prometheus
  elif [ "${CI:-}" = true ]; then
    echo "prometheus-path: there is no Prometheus; next: sudo apt-get install prometheus" >&2
    exit 1
  else
    echo "prometheus-path: skipped, there is no Prometheus; next: sudo apt-get install prometheus"
    exit 0
  fi
fi

promtool check config $observe/prometheus.yaml
# Where the plugin is there; no engine is asked.
if docker compose version >/dev/null 2>&1; then
  docker compose --file $observe/compose.yaml config --quiet
fi
cargo test --quiet --package shop --test shop -- --ignored --nocapture the_dashboard_tells_the_truth
