#!/usr/bin/env bash
# Stop what infra/postgres/up.sh started in DIR; its data stay.
set -euo pipefail

dir=${1:?usage: $0 DIR}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
cd "$dir"
stop=("${bin:-$(dirname "$(command -v pg_ctl)")}/pg_ctl" -D data -m fast stop)
if [[ $(id -u) -eq 0 ]]; then
  runuser -u postgres -- "${stop[@]}" >/dev/null
else
  "${stop[@]}" >/dev/null
fi
