-- Of each list the only one, if there is one.
SELECT * FROM commit_change(
    $1, true, ($2::bigint[])[1],
    ($3::uuid[])[1], ($4::uuid[])[1], ($5::bigint[])[1], ($6::bytea[])[1],
    ($7::uuid[])[1], ($8::bigint[])[1], ($9::bigint[])[1], ($10::uuid[])[1],
    ($11::bytea[])[1], ($12::bigint[])[1], ($13::boolean[])[1], ($14::boolean[])[1], ($15::bigint[])[1], ($16::bytea[])[1],
    ($17::uuid[])[1], ($18::bigint[])[1], ($19::bigint[])[1], ($20::text[])[1], ($21::uuid[])[1],
    ($22::bytea[])[1], ($23::bigint[])[1], ($24::text[])[1], ($25::text[])[1], ($26::bytea[])[1], $27,
    ($28::uuid[])[1], ($29::bigint[])[1],
    $30, $31, $32, $33, $34, $35, $36,
    $37, $38, $39, $40,
    ($41::text[])[1], $42)
