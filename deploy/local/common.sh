# shellcheck shell=bash disable=SC2154 # program, port and the like are the caller's
# What ./kafka and ./registry share: words on standard error, a download that happens once, processes that outlive
# their shell and are known by pid files in a directory, and a command run beside such a process.
#
# The caller sets `program` and defines start, stop and status. Results go to standard output, all else to
# standard error. Status: 0 done, 1 failed, 2 wrong usage.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/vouch

# Limits. At each the command fails with a sentence that says so.
download_seconds_max=600 # waiting for another process's download
start_seconds_max=120    # until a started server answers; some 5 s on an idle machine, two cores are often shared
stop_seconds_max=30      # a clean stop (--keep); then it is killed
run_tries_max=3          # run: another port, if somebody took the free one first

port_clash='Address already in use\|seems to be in use by another' # as the servers log it

say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() { say "$*"; exit 1; }
wrong_usage() { say "$*; see $program --help"; exit 2; }

need() { # COMMAND PACKAGE
  command -v "$1" >/dev/null || die "$1 is missing: install it (Debian: apt-get install $2) and call again"
}

need_java() {
  need java openjdk-17-jre-headless
  local major
  major=$(java -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p')
  ((${major:-0} >= 17)) || die "java is version ${major:-unknown}, which Kafka 4 does not run on: install 17 or later (Debian: apt-get install openjdk-17-jre-headless)"
}

need_maven() { need mvn maven; }

# once DIR COMMAND…: makes DIR by COMMAND FRESH, which fills an empty directory. Of several callers one does it and
# the others wait; DIR appears whole or not at all.
once() {
  local dir=$1
  shift
  [[ -d $dir ]] && return
  mkdir -p "$(dirname "$dir")"
  (
    flock -w "$download_seconds_max" 9 || die "another download has held $cache/download.lock for $download_seconds_max s: end it and call again"
    [[ -d $dir ]] && exit 0
    fresh=$(mktemp -d "$dir.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    "$@" "$fresh" >&2 || die "the download failed, see above: nothing was kept, so call again"
    chmod 755 "$fresh"
    mv -T "$fresh" "$dir"
  ) 9>"$cache/download.lock"
}

# one_start_at_a_time: until starting_is_over or the end of this script, so that two starts of one directory do not mix.
one_start_at_a_time() {
  mkdir -p "$cache"
  exec 8>"$cache/start.lock"
  flock -w "$start_seconds_max" 8 || die "another start has held $cache/start.lock for $start_seconds_max s: end it and call again"
}

starting_is_over() { exec 8>&-; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port COUNT: a port, below those the system hands out by itself, from which COUNT in a row are free.
free_port() {
  local port offset
  while :; do
    port=$((20000 + RANDOM % 12000))
    for ((offset = 0; offset < $1; offset++)); do
      port_taken $((port + offset)) && continue 2
    done
    echo "$port"
    return
  done
}

# launch DIR NAME COMMAND…: in a session of its own. One of the arguments must name a path in DIR: see running.
launch() {
  local dir=$1 name=$2
  shift 2
  setsid nohup "$@" </dev/null >>"$dir/server.log" 2>&1 8>&- &
  echo $! >"$dir/$name.pid"
}

# running DIR: the pids of its live processes. A pid that now belongs to somebody else does not name DIR and is left out.
running() {
  local file pid
  for file in "$1"/*.pid; do
    [[ -s $file ]] || continue
    pid=$(<"$file")
    if [[ $(ps -ww -o args= -p "$pid" 2>/dev/null) == *"$1/"* ]]; then echo "$pid"; fi
  done
}

# await DIR COUNT CHECK…: until CHECK holds, as long as COUNT processes live and start_seconds_max have not passed.
await() {
  local dir=$1 count=$2 why='' end=$((SECONDS + start_seconds_max))
  shift 2
  until "$@"; do
    if (($(running "$dir" | wc -l) < count)); then
      why="a process ended while it started"
      if grep -q "$port_clash" "$dir/server.log"; then why="a port was taken by another program while it started"; fi
    elif ((SECONDS >= end)); then
      why="no answer within $start_seconds_max s (start_seconds_max)"
    fi
    if [[ $why ]]; then
      tail -n 20 "$dir/server.log" >&2
      die "$why: the end of $dir/server.log is above"
    fi
    sleep 0.2
  done
}

# halt DIR SIGNAL: ends its processes and forgets their pids.
halt() {
  local pids end=$((SECONDS + stop_seconds_max))
  mapfile -t pids < <(running "$1")
  if ((${#pids[@]})); then
    kill -s "$2" "${pids[@]}" 2>/dev/null || true
    while [[ $(running "$1") ]]; do
      if ((SECONDS >= end)); then
        say "no end within $stop_seconds_max s (stop_seconds_max), killed"
        kill -s KILL "${pids[@]}" 2>/dev/null || true
        end=$((SECONDS + stop_seconds_max))
      fi
      sleep 0.1
    done
  fi
  rm -f "$1"/*.pid
}

# end_group PID: tells a process group to end and waits for it, so that a server outlives its clients.
end_group() {
  local end=$((SECONDS + stop_seconds_max))
  kill -s TERM -- "-$1" 2>/dev/null || return 0
  while kill -s 0 -- "-$1" 2>/dev/null; do
    if ((SECONDS >= end)); then kill -s KILL -- "-$1" 2>/dev/null; fi
    sleep 0.1
  done
}

# run_beside NAME COMMAND…: see `run` in --help. The caller has set dir (a fresh one), port, fixed_port, port_count
# and start_options. The server goes when COMMAND ends, when this script is told to end, and, by the watcher, when it
# is killed outright.
run_beside() {
  local name=$1 try address status=0
  shift
  command_pid='' watcher_pid=''
  trap run_ended EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # shellcheck disable=SC2016
  setsid nohup bash -c 'tail --pid="$2" -f /dev/null; exec "$0" stop --dir "$1"' "$0" "$dir" $$ </dev/null >/dev/null 2>&1 &
  watcher_pid=$!

  for ((try = 1; ; try++)); do
    if address=$("$0" start --dir "$dir" --port "$port" "${start_options[@]}"); then break; fi
    # Somebody took the free port first: another one. Whatever else went wrong would go wrong again.
    if [[ $fixed_port ]] || ((try == run_tries_max)) || ! grep -qs "$port_clash" "$dir/server.log"; then exit 1; fi
    port=$(free_port "$port_count")
  done

  # A process group of its own, so that everything COMMAND started ends with it; without a terminal, which such a
  # group could not read.
  if [[ -t 0 ]]; then exec </dev/null; fi
  set -m
  env "$name=$address" "$@" <&0 &
  command_pid=$!
  set +m
  wait "$command_pid" || status=$?
  exit "$status"
}

run_ended() {
  trap '' INT TERM HUP
  if [[ $command_pid ]]; then end_group "$command_pid"; fi
  halt "$dir" KILL
  rm -rf "$dir"
  kill "$watcher_pid" 2>/dev/null || true
}
