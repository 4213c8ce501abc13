#!/usr/bin/env bash
# Start a throw-away S3 server (Ceph's radosgw, all data in memory) on 127.0.0.1.
#
#   infra/s3/up.sh DIR [PORT]      PORT is 7480 unless set; PORT+1 and PORT+2 are taken as well
#
# Prints the environment that S3 clients need, to be used as
#
#   eval "$(infra/s3/up.sh scratch/s3)"    ...    infra/s3/down.sh scratch/s3
#
# Why this one: unlike the mocks it checks signatures, honours If-None-Match and hides unfinished
# multipart uploads. One monitor, one in-memory store and one gateway; no systemd, no root needed.
# Needs Debian's radosgw, ceph-mon, ceph-osd and ceph-mgr.
set -euo pipefail

# Others on this machine reach the loopback interface too: keys are made for each server.
random() { head -c 24 /dev/urandom | base64 | tr '+/' 'ab'; }
ACCESS_KEY=test$(random)
SECRET_KEY=$(random)
readonly ACCESS_KEY SECRET_KEY

say() { echo "s3: $*" >&2; }
fail() { say "$*"; exit 1; }

[[ $# -ge 1 && $# -le 2 ]] || fail "usage: $0 DIR [PORT]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here port=${2:-7480}
readonly monitor_v1_port=$((port + 1)) monitor_v2_port=$((port + 2))

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

require_programs() {
  local program
  for program in ceph ceph-authtool ceph-mon ceph-osd monmaptool radosgw radosgw-admin; do
    command -v "$program" >/dev/null || fail "$program is missing; as root:" \
      "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-mgr"
  done
}

# Empty DIR of an earlier server, which is stopped first so that its ports are free again. A folder
# that holds anything else is refused: nobody should lose files to a mistyped DIR.
prepare_folder() {
  if [[ -e $1/ceph.conf ]]; then
    "$here/down.sh" "$1"
    rm -rf "${1:?}"/{mon,osd,rgw,run,keyring,monmap,ceph.conf}
  elif [[ -n $(ls -A "$1" 2>/dev/null) ]]; then
    fail "$1 is not empty and no folder of this script: name another"
  fi
  mkdir -p "$1"/{mon,osd,rgw,run}
}

require_free_ports() {
  local taken
  for taken in "$port" "$monitor_v1_port" "$monitor_v2_port"; do
    ! listens "$taken" || fail "port $taken is taken; name another: $0 DIR PORT"
  done
}

write_config() {
  cat >ceph.conf <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$monitor_v2_port,v1:127.0.0.1:$monitor_v1_port]
mon initial members = a
public addr = 127.0.0.1
ms bind ipv6 = false
# A single copy on a single store: without these the pools wait for replicas for ever.
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd objectstore = memstore
memstore device bytes = 4294967296
keyring = $dir/keyring
run dir = $dir/run
pid file = $dir/run/\$type.pid
admin socket = $dir/run/\$type.asok
log file = $dir/run/\$type.log
mon data = $dir/mon
osd data = $dir/osd
[client.rgw]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 16
CONF
}

start_monitor() {
  ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool keyring --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  ceph-authtool keyring --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *'
  monmaptool --create --fsid "$fsid" \
    --addv a "[v2:127.0.0.1:$monitor_v2_port,v1:127.0.0.1:$monitor_v1_port]" monmap
  ceph-mon --mkfs -i a --monmap monmap --keyring keyring
  ceph-mon -i a
}

start_store() {
  local store_id
  store_id=$(cat /proc/sys/kernel/random/uuid)
  timeout 30 ceph osd new "$store_id"
  timeout 30 ceph auth get-or-create osd.0 \
    mon 'allow profile osd' mgr 'allow profile osd' osd 'allow *' >>keyring
  ceph-osd -i 0 --mkfs --osd-uuid "$store_id"
  ceph-osd -i 0
}

start_gateway() {
  timeout 60 radosgw-admin user create --uid=redepth --display-name=redepth \
    --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY"
  timeout 60 radosgw -n client.rgw
}

wait_until_ready() {
  local attempt
  for attempt in {1..120}; do
    listens "$port" && return
    sleep 0.25
  done
  say "no answer on port $port after $((attempt / 4)) s"
  return 1
}

print_environment() {
  # when_required: pyarrow.fs otherwise streams a checksum trailer without a length, answered by 411.
  # ALLOW_HTTP: obstore refuses a plain http endpoint without it.
  cat <<ENV
export AWS_ENDPOINT_URL=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=$ACCESS_KEY
export AWS_SECRET_ACCESS_KEY=$SECRET_KEY
export AWS_DEFAULT_REGION=us-east-1
export AWS_REQUEST_CHECKSUM_CALCULATION=when_required
export AWS_ALLOW_HTTP=true
ENV
}

# Runs where stderr is the log, hence the way back to the terminal through 3.
abandon() {
  exec 2>&3
  say "start failed; the end of $dir/run/up.log:"
  tail -n 20 "$dir/run/up.log" >&2
  "$here/down.sh" "$dir"
}

require_programs
prepare_folder "$1"
require_free_ports
dir=$(cd "$1" && pwd)
fsid=$(cat /proc/sys/kernel/random/uuid)
cd "$dir"
write_config
export CEPH_CONF=$dir/ceph.conf
exec 3>&2
trap abandon ERR
set -o errtrace
say "starting on port $port (about 10 s)"
{
  start_monitor
  start_store
  start_gateway
  wait_until_ready
} >run/up.log 2>&1
say "ready after $SECONDS s; logs in $dir/run"
print_environment
