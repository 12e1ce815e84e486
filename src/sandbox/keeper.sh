# Makes a throw-away server, keeps it until the other end of standard input is closed, removes it.
# The other end closes however its process dies, so nothing has to be done by a dying process.
#
#   keeper NAME BINDIR PLACE PLACE [argument of postgres]...
#
# Says on standard output: `folder PATH`, then `ready`, or `failed REASON` and the end of the log.

# Ctrl-C and a closed terminal are for the process that has us; a closed reader is no reason to stop.
trap '' HUP INT TERM PIPE
umask 077
name=$1 bindir=$2 first=$3 second=$4
shift 4

fail() {
    echo "failed $1"
    [ -z "$folder" ] || tail -n 20 "$folder/server.log" 2>/dev/null
    exit 1
}

server_pid() {
    # A server that was restarted is not the one we started.
    head -n 1 "$folder/data/postmaster.pid" 2>/dev/null || echo "$server"
}

[ -x "$bindir/initdb" ] || fail "user $(id -un) cannot run $bindir/initdb"
folder=
for place in "$first" "$second"; do
    mkdir "$place/$name" 2>/dev/null && folder=$place/$name && break
done
[ -n "$folder" ] || fail "user $(id -un) can make no folder in $first or $second"
server=
# Locked by whoever uses the server: by that it is known whether anybody still does.
: >"$folder/tool.lock"
trap 'stop_and_remove "$(server_pid)" "$folder"' EXIT
echo "folder $folder"

"$bindir/initdb" -D "$folder/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
    --no-sync >"$folder/server.log" 2>&1 </dev/null || fail "initdb failed"
"$bindir/postgres" -D "$folder/data" -k "$folder" "$@" >"$folder/server.log" 2>&1 </dev/null &
server=$!

# The eighth line of the file is how pg_ctl, too, learns that a server is ready.
tries=0
until { sed -n 8p "$folder/data/postmaster.pid" | grep -q ready; } 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start"
    tries=$((tries + 1))
    [ "$tries" -lt 3000 ] || fail "the server was not ready after a minute"
    sleep 0.02
done
echo ready

while read -r _; do :; done
