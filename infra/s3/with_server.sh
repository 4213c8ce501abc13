#!/usr/bin/env bash
# Run a command with an S3 server at hand, and return its exit code.
#
#   infra/s3/with_server.sh COMMAND [ARGUMENT ...]
#
# With AWS_ENDPOINT_URL set, that server is used. Otherwise radosgw is installed if it is missing
# (Debian or Ubuntu, as root), started in a temporary folder and stopped again, whatever happens.
# S3_PORT names its port.
set -euo pipefail

readonly PACKAGES=(radosgw ceph-mon ceph-osd ceph-mgr)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

[[ $# -ge 1 ]] || { echo "usage: $0 COMMAND [ARGUMENT ...]" >&2; exit 1; }

if [[ -n ${AWS_ENDPOINT_URL:-} ]]; then
  echo "s3: using $AWS_ENDPOINT_URL" >&2
  exec "$@"
fi

install_server() {
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "s3: no radosgw here. Install it as root, or set AWS_ENDPOINT_URL to a server of yours:"
    echo "  apt-get update && apt-get install -y --no-install-recommends ${PACKAGES[*]}"
    return 1
  fi >&2
  echo "s3: installing ${PACKAGES[*]} (about half a minute)" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update && apt-get install -y --no-install-recommends "${PACKAGES[@]}"; } \
    >"$dir/apt.log" 2>&1 </dev/null; then
    tail -n 20 "$dir/apt.log" >&2
    return 1
  fi
}

stop_server() {
  local code=$? log=$server/run/client.log
  "$here/down.sh" "$server"
  if [[ $code -ne 0 && -s $log ]]; then
    echo "s3: the command ended with $code; the end of the server's log:" >&2
    tail -n 20 "$log" >&2
  fi
  rm -rf "$dir"
  exit "$code"
}

dir=$(mktemp -d)
readonly dir server=$dir/server
trap stop_server EXIT
# A signal must end in the EXIT trap too, or the server would outlive this script.
trap 'exit 130' INT
trap 'exit 143' TERM

command -v radosgw >/dev/null || install_server
environment=$("$here/up.sh" "$server" "${S3_PORT:-7480}")
eval "$environment"
"$@"
