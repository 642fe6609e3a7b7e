#!/bin/sh
# Lets the replica of compose.yaml copy what is written.
echo "host replication cartwright samenet scram-sha-256" >> "$PGDATA/pg_hba.conf"
