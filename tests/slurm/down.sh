#!/usr/bin/env bash
# Stops what up.sh started in FOLDER, by the process numbers that the daemons wrote there.
# usage: down.sh FOLDER
set -uo pipefail
folder=$1
export SLURM_CONF=$folder/slurm.conf
numbers=()
for file in "$folder"/run/*.pid; do
  [ -s "$file" ] && numbers+=("$(cat "$file")")
done
for number in "${numbers[@]}"; do kill "$number" 2>/dev/null; done
sleep 1
for number in "${numbers[@]}"; do kill -9 "$number" 2>/dev/null; done
exit 0
