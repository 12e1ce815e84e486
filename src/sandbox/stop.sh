# Stops the server of that process id, where there is one, and removes the folder: PID FOLDER.
stop_and_remove() {
    if [ -n "$1" ]; then
        # Nothing is to be kept: an immediate shutdown writes nothing and still frees shared memory.
        kill -QUIT "$1" 2>/dev/null
        tries=0
        # Bounded: a server that somebody else started and does not wait for stays as a zombie.
        while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 600 ]; do
            tries=$((tries + 1))
            [ "$tries" -ne 500 ] || kill -KILL "$1" 2>/dev/null
            sleep 0.02
        done
    fi
    # The second time is for a process of the server that was still writing.
    rm -rf "$2" 2>/dev/null || { sleep 1; rm -rf "$2"; }
}

