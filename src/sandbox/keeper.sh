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

stop_and_remove() {
    pid=$(server_pid)
    if [ -n "$pid" ]; then
        # Nothing is to be kept: an immediate shutdown writes nothing and still frees shared memory.
        kill -QUIT "$pid" 2>/dev/null
        tries=0
        # Bounded: a server that somebody else started and does not wait for stays as a zombie.
        while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 600 ]; do
            tries=$((tries + 1))
            [ "$tries" -ne 500 ] || kill -KILL "$pid" 2>/dev/null
            sleep 0.02
        done
    fi
    # The second time is for a process of the server that was still writing.
    rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
}

[ -x "$bindir/initdb" ] || fail "user $(id -un) cannot run $bindir/initdb"
folder=
for place in "$first" "$second"; do
    mkdir "$place/$name" 2>/dev/null && folder=$place/$name && break
done
[ -n "$folder" ] || fail "user $(id -un) can make no folder in $first or $second"
server=
trap stop_and_remove EXIT
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
