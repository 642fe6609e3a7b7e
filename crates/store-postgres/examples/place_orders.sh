#!/bin/sh
# Orders through `Ledger::commit` beside pgbench's minimal order as one statement, in turns on one server of their own:
#   crates/store-postgres/examples/place_orders.sh [SECONDS] [ROUNDS]
# As root it runs the server as `postgres`. Needs PostgreSQL's programs and a release build of the example.
set -eu
seconds=${1:-10} rounds=${2:-3} callers=32
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
PATH=${bin:+$bin:}$PATH
program=${CARGO_TARGET_DIR:-target}/release/examples/place_orders
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
dir=$(as mktemp -d) port=$((20000 + $$ % 20000))
trap 'as "$(command -v pg_ctl)" stop -s -m immediate -D "$dir/data"; rm -rf "$dir"' EXIT
as "$(command -v initdb)" -U postgres -A trust -N -D "$dir/data" >/dev/null
cat >>"$dir/data/postgresql.conf" <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 512MB
max_wal_size = 4GB
min_wal_size = 4GB
CONF
as "$(command -v pg_ctl)" start -s -w -l "$dir/log" -D "$dir/data"
url=postgres://postgres@127.0.0.1:$port
psql -q "$url/postgres" -c 'CREATE DATABASE ours' -c 'CREATE DATABASE pgbench'
psql -q "$url/pgbench" <<SQL
CREATE TABLE stock (id integer PRIMARY KEY, on_hand integer NOT NULL CHECK (on_hand >= 0)) WITH (fillfactor = 50);
INSERT INTO stock SELECT n, 1000000000 FROM generate_series(1, 10000) n;
CREATE TABLE orders (id bigserial PRIMARY KEY, customer integer NOT NULL, total integer NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE lines (order_id bigint, line integer, sku integer NOT NULL, quantity integer NOT NULL, price integer NOT NULL, PRIMARY KEY (order_id, line));
CREATE TABLE outbox (id bigserial PRIMARY KEY, body text NOT NULL);
VACUUM ANALYZE;
SQL
# A server that has been used for a while writes over the old files of its log. A new one makes each of them, and everybody waits
# 50 ms for it.
psql -q "$url/postgres" -c "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 3200000)"
psql -q "$url/postgres" -c 'DROP TABLE filler' -c CHECKPOINT
cat >"$dir/order.sql" <<'SQL'
\set a random(1, 3333)
\set b random(3334, 6666)
\set c random(6667, 9999)
\set customer random(1, 1000000)
WITH taken AS (UPDATE stock SET on_hand = on_hand - 1 WHERE id IN (:a, :b, :c) AND on_hand >= 1 RETURNING id), placed AS (INSERT INTO orders (customer, total) SELECT :customer, 100 / (count(*) / 3) FROM taken RETURNING id), sold AS (INSERT INTO lines SELECT placed.id, row_number() OVER (), taken.id, 1, 1299 FROM placed, taken) INSERT INTO outbox (body) SELECT '{"type":"order.placed","order":' || id || '}' FROM placed;
SQL
for round in $(seq "$rounds"); do
    echo "round $round"
    pgbench -n -M prepared -c "$callers" -j 2 -T "$seconds" -f "$dir/order.sql" "$url/pgbench" 2>/dev/null | grep -E 'latency average|tps'
    "$program" "$url/ours" "$callers" "$seconds" "${CONNECTIONS:-16}"
done
