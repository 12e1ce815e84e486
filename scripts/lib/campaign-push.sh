# Sourced by scripts/campaign: what the app's push does to a migrated database. Bash.
#
# MARKENMATE names a binary to use instead of building one.

# What the app of November 2025 could have had.
drizzle=(drizzle-kit@0.31.7 drizzle-orm@0.44.7 pg@8.16.3)

campaign_push() {
    have npm && have node || stop "the app's push is an npm package: install npm and node, then run this again"
    setup_postgres
    mm=${MARKENMATE:-}
    if [[ -z $mm ]]; then
        setup_rust
        say "building"
        cargo build --locked
        mm=$root/target/debug/markenmate
    fi
    work=$(mktemp -d /tmp/markenmate-push.XXXXXX)
    trap push_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # What the caller's shell says about databases is not meant for this one.
    unset DATABASE_URL "${!PG@}"

    push_server
    say "installing ${drizzle[*]}"
    echo '{"private": true}' >"$work/package.json"
    (cd "$work" && npm install --silent --no-audit --no-fund "${drizzle[@]}") || stop "npm cannot install ${drizzle[*]}"
    cp "$root"/tests/fixtures/push/*.ts "$work/"
    say "$(postgres --version), node $(node --version), ${drizzle[*]}"

    push_survives
    push_old_app
    push_old_app_without_rows
    say "push: all as expected"
}

push_cleanup() {
    if [[ -e $work/server/data/postmaster.pid ]]; then
        as_server pg_ctl -D "$work/server/data" -m immediate -w stop >/dev/null || true
    fi
    rm -rf "$work"
}

# PostgreSQL refuses to run as root.
as_server() {
    if [[ $(id -u) == 0 ]]; then
        su -s /bin/sh -c 'PATH=$0 && export PATH && cd / && exec "$@"' -- "$server_user" "$PATH" "$@"
    else
        "$@"
    fi
}

# Reached by its socket alone, in a folder that nobody else may enter.
push_server() {
    server_user=nobody
    if id postgres >/dev/null 2>&1; then server_user=postgres; fi
    mkdir -m 700 "$work/server"
    if [[ $(id -u) == 0 ]]; then
        chown "$server_user" "$work/server"
        chmod 711 "$work"
    fi
    as_server initdb -D "$work/server/data" -U postgres -A trust -E UTF8 --no-sync >/dev/null
    as_server pg_ctl -D "$work/server/data" -l "$work/server/log" -w \
        -o "-c listen_addresses='' -c unix_socket_directories=$work/server -c fsync=off" start >/dev/null
    sql postgres postgres -c "CREATE ROLE app LOGIN"
}

# sql ROLE DATABASE ARGUMENT...
sql() {
    psql -XqAt -v ON_ERROR_STOP=1 -h "$work/server" -U "$1" -d "$2" "${@:3}"
}

# tool DATABASE ARGUMENT...: the exit code is left in $code, stdout in $work/out.
tool() {
    code=0
    "$mm" -d "host=$work/server user=postgres dbname=$1" "${@:2}" >"$work/out" 2>"$work/err" || code=$?
}

# push DATABASE SCHEMA [FLAG]: as the app does it, with no terminal. Its exit code says nothing: it
# is 0 after an error and after a question nobody answered.
push() {
    (cd "$work" && npx --no-install drizzle-kit push --dialect postgresql --schema "./$2" --verbose "${@:3}" \
        --url "postgresql://app@localhost/$1?host=$(printf %s "$work/server" | sed 's,/,%2F,g')") \
        </dev/null >"$work/pushed" 2>&1 || true
}

# dump DATABASE [ARGUMENT...]: newer releases write a random key into each dump.
dump() {
    pg_dump -h "$work/server" -U postgres "${@:2}" "$1" | sed -E '/^\\(un)?restrict /d'
}

expect() {
    local what=$1
    shift
    if "$@"; then
        printf 'ok    %s\n' "$what"
    else
        printf 'WRONG %s\n' "$what"
        sed 's/^/      | /' "$work/pushed" "$work/out" "$work/err" 2>/dev/null | head -80
        exit 1
    fi
}

exits() { [[ $code == "$1" ]]; }
pushed() { grep -qF "$1" "$work/pushed"; }
same() { cmp -s "$work/$1" "$work/$2"; }
json() { node -e 'let d = JSON.parse(require("fs").readFileSync(0)); process.stdout.write(String(eval(process.argv[1])))' "$1" <"$work/out"; }
state_is() { [[ $(json d.data.state) == "$1" ]]; }

# How the tool keeps the applied versions.
history_of() { sql postgres "$1" -c "SELECT string_agg(version::text, ',' ORDER BY version) FROM markenmate.refinery_schema_history"; }

# What of the migration is there: 2 tables, 3 columns.
parts_of() {
    sql postgres "$1" -c "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('audit_log', 'step_up_token'))
        || ' tables, ' || (SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'
             AND (table_name, column_name) IN (('user', 'is_master_admin'), ('token_lending', 'version'), ('app_log', 'correlation_id')))
        || ' columns'"
}
has_parts() { [[ $(parts_of "$1") == "$2" ]]; }

# has_guards DATABASE NUMBER: so many of the tool's triggers stand on the app's tables.
has_guards() {
    [[ $(sql postgres "$1" -c "SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'public'::regnamespace AND t.tgname LIKE 'markenmate\_%' AND t.tgenabled = 'O'") == "$2" ]]
}

# works DATABASE: what the old app writes goes through while its push has taken the columns away.
works() {
    code=0
    sql app "$1" -1 >/dev/null 2>"$work/err" <<'SQL' || code=$?
INSERT INTO public."user" (id, name, email, role) VALUES ('o1', 'O', 'o1@example.org', 'admin'), ('o2', 'O', 'o2@example.org', 'user');
INSERT INTO public.token_lending (user_id, person_name, token_count) VALUES ('o2', 'P', 3);
UPDATE public.token_lending SET token_count = 2 WHERE user_id = 'o2';
UPDATE public.token_lending SET token_count = 2 WHERE user_id = 'nobody';
UPDATE public."user" SET role = 'admin' WHERE id = 'o2';
UPDATE public."user" SET role = 'user' WHERE id = 'o1';
DELETE FROM public."user" WHERE id = 'o1';
SQL
    expect "$1: the old app writes as before" exits 0
}

# migrated DATABASE: the baseline, owned by the app, migrated by a superuser.
migrated() {
    sql postgres postgres -c "CREATE DATABASE $1 OWNER app"
    PGOPTIONS='-c search_path=pg_catalog' sql app "$1" -1 -f "$root/migrations/V1__baseline.sql"
    push "$1" schema-old.ts
    expect "$1: the old app's push finds nothing to change in the baseline" pushed 'No changes detected'
    tool "$1" migrate --yes
    expect "$1: migrate ends 0" exits 0
}

# rows DATABASE: values in every place that the migration made.
rows() {
    sql app "$1" -1 >/dev/null <<'SQL'
INSERT INTO public."user" (id, name, email, role, is_master_admin) VALUES ('u1', 'U', 'u@example.org', 'admin', true);
INSERT INTO public.token_lending (user_id, person_name, token_count, version) VALUES ('u1', 'P', 3, 7);
INSERT INTO public.app_log (message, correlation_id) VALUES ('m', 'c');
INSERT INTO public.audit_log (user_id, action) VALUES ('u1', 'CHANGE_ROLE');
SQL
}

push_survives() {
    say "the new app's push after migrate"
    migrated kept
    rows kept
    dump kept >"$work/before"
    push kept schema.ts
    expect "the push finds nothing to change" pushed 'No changes detected'
    dump kept >"$work/after"
    expect "catalogue and rows are the same before and after" same before after
    expect "every version stands in the history" test "$(history_of kept)" = 1,2,3
    expect "and every guard on its table" has_guards kept 13

    # That it would have noticed: the schema file names no key, so drizzle's own names are compared.
    sql app kept -c 'ALTER TABLE public.audit_log RENAME CONSTRAINT audit_log_user_id_user_id_fk TO other_fk'
    push kept schema.ts
    expect "a key under another name it makes anew" pushed 'Changes applied'
    dump kept >"$work/after"
    expect "under the name that the migration gives" same before after
}

push_old_app() {
    say "the old app's push after migrate, rows in the tables"
    migrated old
    rows old
    dump old >"$work/before"
    dump old -n markenmate >"$work/own-before"
    push old schema-old.ts
    expect "without --force it asks, and changes nothing" pushed 'Do you still want to push changes?'
    dump old >"$work/after"
    expect "catalogue and rows are the same before and after" same before after

    push old schema-old.ts --force
    expect "with --force it changes them" pushed 'Changes applied'
    expect "it dropped the columns, and the new tables with their rows" has_parts old '0 tables, 0 columns'
    expect "the guards of the dropped tables went with them" has_guards old 8
    dump old -n markenmate >"$work/own-after"
    expect "schema markenmate is untouched, rows included" same own-before own-after

    # The remedies run as the app, which owns the tables, and as a superuser, in a copy.
    sql postgres postgres -c "CREATE DATABASE copy TEMPLATE old OWNER app"
    tool old status --format json
    expect "status: drifted" state_is drifted
    tool old migrate --yes --format json
    expect "migrate is refused, exit 4" exits 4
    json 'd.findings.map(f => f.remedy).join("\n")' >"$work/mend.sql"
    sql app old -1 -f "$work/mend.sql"
    expect "its SQL, run by the app's role, brings everything back" has_parts old '2 tables, 3 columns'
    expect "the guards, too" has_guards old 13
    tool old migrate --yes
    expect "migrate ends 0" exits 0
    tool old status --format json
    expect "status: current" state_is current
    push old schema.ts
    expect "the new app's push finds nothing to change" pushed 'No changes detected'

    sql postgres copy -1 -f "$work/mend.sql"
    tool copy migrate --yes
    printf 'seen  the same SQL, run by a superuser: migrate exits %s; %s\n' "$code" "$(head -1 "$work/out")"
    push copy schema.ts
    printf "seen  and the new app's push: %s\n" "$(grep -m1 -E 'error:|No changes' "$work/pushed" || echo '?')"
    tool copy status --format json
    printf 'seen  and status: %s\n' "$(json d.data.state)"
    json 'd.findings.map(f => f.remedy).join("\n")' >"$work/mend.sql"
    sql postgres copy -1 -f "$work/mend.sql"
    tool copy status --format json
    expect "status's SQL mends the rest: current" state_is current
    expect "copy: every guard on its table" has_guards copy 13
    push copy schema.ts
    expect "the new app's push finds nothing to change" pushed 'No changes detected'
}

push_old_app_without_rows() {
    say "the old app's push after migrate, tables empty"
    migrated empty
    push empty schema-old.ts
    expect "it asks nothing" pushed 'Changes applied'
    expect "it dropped columns and tables" has_parts empty '0 tables, 0 columns'
    expect "every version stands in the history" test "$(history_of empty)" = 1,2,3
    expect "the guards of the dropped tables went with them" has_guards empty 8
    works empty
    tool empty migrate --yes --format json
    expect "migrate is refused, exit 4" exits 4
    json 'd.findings.map(f => f.remedy).join("\n")' >"$work/mend.sql"
    sql app empty -1 -f "$work/mend.sql"
    expect "its SQL brings back all of the guards as well" has_guards empty 13
    tool empty status --format json
    expect "status: current" state_is current
}
