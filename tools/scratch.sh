# Sourced by ./test, ./demo and bench: one scratch directory for everything a run makes, and nothing left behind.
#
# begin_scratch NAME   makes $scratch, exports it as TMPDIR, and sets the traps; SEAWALL_RUN marks every child.
# run COMMAND...       runs it so that a signal to this script is acted on at once, not after the command.
#
# Processes are found by the mark in their environment, so that servers that left the process group are found too.

begin_scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/seawall-$1-XXXXXX") || exit 1
  chmod 711 "$scratch"   # root runs PostgreSQL as another user, who has to get inside
  export TMPDIR="$scratch" SEAWALL_RUN="$scratch"
  trap end_scratch EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
}

scratch_processes() {
  # A server's children paint their title over their environment, but all of them work inside the scratch directory.
  {
    grep -lzsFx "SEAWALL_RUN=$scratch" /proc/[0-9]*/environ
    find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' \( -lname "$scratch" -o -lname "$scratch/*" \)
  } 2>/dev/null | cut -d / -f 3 | sort -u | grep -vx $$
}

end_scratch() {
  status=$?
  set +e
  trap '' INT TERM HUP
  trap - EXIT
  cd /
  for signal in TERM QUIT KILL KILL; do
    processes=$(scratch_processes)
    [ -n "$processes" ] || break
    for process in $processes; do kill -s $signal "$process" 2>/dev/null; done
    tries=0
    while [ $tries -lt 15 ] && [ -n "$(scratch_processes)" ]; do sleep 0.1; tries=$((tries + 1)); done
  done
  while read -r _ place _; do
    case "$place" in "$scratch"/*) umount -l "$place" ;; esac
  done </proc/mounts
  rm -rf "$scratch"
  exit $status
}

run() {
  "$@" &
  wait $!
}
