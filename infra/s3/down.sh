#!/usr/bin/env bash
# Stop the server that up.sh started in DIR. Its data is gone; its logs stay in DIR/run.
#
#   infra/s3/down.sh DIR
set -euo pipefail

[[ $# -eq 1 ]] || { echo "usage: $0 DIR" >&2; exit 1; }
readonly dir=$1

# By name as well as by number: after a reboot the number may be somebody else's.
runs() { [[ $(cat "/proc/$1/comm" 2>/dev/null) =~ ^(ceph-mon|ceph-osd|radosgw)$ ]]; }

# Ask, wait up to 5 s, then end: the monitor takes a second or two to leave by itself.
stop() {
  local pid=$1 attempt
  runs "$pid" || return 0
  kill "$pid"
  for attempt in {1..50}; do
    runs "$pid" || return 0
    sleep 0.1
  done
  echo "s3: process $pid still runs after $((attempt / 10)) s and is killed" >&2
  kill -9 "$pid" 2>/dev/null || true
}

# The gateway first: it would log errors once its store is gone.
for daemon in client osd mon; do
  pid_file=$dir/run/$daemon.pid
  if [[ -s $pid_file ]]; then
    stop "$(cat "$pid_file")"
    rm -f "$pid_file"
  fi
done
