#!/usr/bin/env bash
# Start a Postgres on the loopback interface for a Prefect server, from Debian's package:
#     export PREFECT_SERVER_DATABASE_CONNECTION_URL=$(infra/postgres/up.sh DIR [PORT])
# The database and a password made for it lie in DIR and are kept; a second call starts it again.
# As root it runs as the user postgres, which Debian's package makes. infra/postgres/down.sh DIR stops it.
set -euo pipefail

dir=${1:?usage: $0 DIR [PORT]}
port=${2:-5433}

say() { echo "postgres: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# As root on Debian it is installed; elsewhere that is the owner's part.
find_programs() {
  local found
  if ! ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 && ! command -v initdb >/dev/null &&
    [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    say "installing Debian's postgresql"
    { apt-get update && apt-get install -y --no-install-recommends postgresql; } >/dev/null 2>&1 || true
  fi
  found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [[ -n $found ]] || found=$(dirname "$(command -v initdb || true)")
  [[ -x $found/initdb ]] || fail "Postgres is missing; as root: apt-get install postgresql"
  echo "$found"
}

as_owner() {
  if [[ $(id -u) -eq 0 ]]; then
    runuser -u postgres -- "$@"
  else
    "$@"
  fi
}

bin=$(find_programs)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [[ $(id -u) -eq 0 ]]; then
  id postgres >/dev/null 2>&1 || fail "there is no user postgres; as root: apt-get install postgresql"
  chown postgres "$dir"
fi
cd "$dir"

if [[ ! -d data ]]; then
  (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' 'ab' >password)
  if [[ $(id -u) -eq 0 ]]; then chown postgres password; fi
  as_owner "$bin/initdb" -D data -U prefect --auth=scram-sha-256 --pwfile=password >log 2>&1 ||
    fail "initdb failed; see $dir/log"
  fresh=yes
fi
if ! as_owner "$bin/pg_ctl" -D data status >/dev/null; then
  as_owner "$bin/pg_ctl" -D data -l server.log -w start \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir" >/dev/null ||
    fail "it did not start; see $dir/server.log"
fi
password=$(cat password)
if [[ ${fresh:-} == yes ]]; then
  PGPASSWORD=$password "$bin/createdb" -h 127.0.0.1 -p "$port" -U prefect prefect
fi
say "ready on port $port"
echo "postgresql+asyncpg://prefect:$password@127.0.0.1:$port/prefect"
