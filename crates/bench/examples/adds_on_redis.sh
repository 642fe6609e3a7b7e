#!/bin/sh
# Adding an item over HTTP, carts in Redis, beside what redis-benchmark reaches with the same function, in as many carts, as many at once
# and with the same appendfsync, in turns:
#   crates/bench/examples/adds_on_redis.sh CATALOG.jsonl.zst PRICES.csv.zst [SECONDS] [ROUNDS] [APPENDFSYNC]
# Starts a Redis and a PostgreSQL of its own. Needs their programs and release builds, each made by itself: what tests and examples
# turn on in the store would be in the server if one call of cargo built both.
#   cargo build --release -p server; cargo build --release -p bench; cargo build --release -p store-redis --example save_rate
# As root it runs PostgreSQL as `postgres`.
set -eu
catalog=$1 prices=$2 seconds=${3:-5} rounds=${4:-3} appendfsync=${5:-everysec} callers=50
built=${CARGO_TARGET_DIR:-target}/release
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
PATH=${bin:+$bin:}$PATH
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
dir=$(as mktemp -d) port=$((20000 + $$ % 20000)) started=
trap 'for p in $started; do kill "$p"; done; wait; as "$(command -v pg_ctl)" stop -s -m fast -D "$dir/data"; rm -rf "$dir"' EXIT
as "$(command -v initdb)" -U postgres -A trust -N -D "$dir/data" >/dev/null
as "$(command -v pg_ctl)" start -s -w -l "$dir/log" -D "$dir/data" -o "-p $port -h 127.0.0.1 -k ''"
mkdir "$dir/redis" "$dir/node"
redis-server --port $((port + 1)) --bind 127.0.0.1 --save '' --appendonly yes --appendfsync "$appendfsync" --dir "$dir/redis" >/dev/null &
started="$started $!"
until redis-cli -p $((port + 1)) ping >"$dir/ping" 2>&1; do sleep 0.1; done
export CARTWRIGHT_STORE__POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
export CARTWRIGHT_STORE__REDIS_URLS="redis://127.0.0.1:$((port + 1))" CARTWRIGHT_DEMO_CATALOG=false
export CARTWRIGHT_RATE_LIMITS__ENABLED=false CARTWRIGHT_TOKEN_KEY="$dir/key"
# On two processors, one for the node; Redis and the load have the other.
export CARTWRIGHT_THREADS="${CARTWRIGHT_THREADS:-1}"
# Nobody pays here.
export CARTWRIGHT_PAYMENTS__PROVIDER=http CARTWRIGHT_PAYMENTS__URL="http://127.0.0.1:$port"
store="--data-dir $dir/node"
"$built/cartwright" $store import catalog "$catalog" --prices "$prices" --stock 1000000 | tail -1
"$built/cartwright" $store --listen "127.0.0.1:$((port + 2))" --log json 2>"$dir/node/log" &
node=$!
started="$started $node"
until curl -fs -o "$dir/ready" "http://127.0.0.1:$((port + 2))/health/ready"; do kill -0 "$node" || exit; sleep 0.2; done
for round in $(seq "$rounds"); do
    echo "round $round"
    "$built/bench" cart-add --clients "$callers" --seconds "$seconds" --rounds 1 --no-bare \
        --url "http://127.0.0.1:$((port + 2))" --pid "$node" 2>/dev/null | grep -E '^\| (requests|all)|^errors|^state'
    # The load goes to 10,000 carts.
    "$built/examples/save_rate" "$appendfsync" "$callers" 10000
done
