#!/usr/bin/env bash
# A private Slurm of several virtual nodes on this machine: own munge key, loopback only, no systemd, no cgroups.
# usage: up.sh FOLDER NODES CPUS_PER_NODE; then: export SLURM_CONF=FOLDER/slurm.conf. Needs root and Debian's slurmd, which is
# built with multiple-slurmd; packages that are missing are installed with apt. Environment: SLURMD_TIMEOUT (seconds until a node that does not
# answer is down, 10), SLURM_PORT (16917; nodes have the ports above it), SLURM_CARDS (GPUs of each node, which do not exist; 0).
set -euo pipefail
folder=$1 nodes=$2 cpus=$3 port=${SLURM_PORT:-16917} cards=${SLURM_CARDS:-0}
for tool in slurmctld slurmd sbatch munged; do
  command -v "$tool" >/dev/null || { "$(dirname "$0")/../../tools/apt.sh" slurmctld slurmd slurm-client munge >&2; break; }
done
mkdir -p "$folder"/{state,log,run,munge}
chmod 755 "$folder" "$folder/run"
chmod 700 "$folder/munge"
head -c 128 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"
munged --force --key-file="$folder/munge/key" --socket="$folder/run/munge.sock" --seed-file="$folder/munge/seed" \
  --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log"
cat >"$folder/slurm.conf" <<CONF
ClusterName=blockwise
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=${SLURMD_TIMEOUT:-10}
KillWait=2
MinJobAge=300
GresTypes=gpu
NodeName=n[1-$nodes] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + nodes))] CPUs=$cpus RealMemory=4000$([ "$cards" = 0 ] || echo " Gres=gpu:$cards")
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
# Any character devices will do: they are counted, not opened.
[ "$cards" = 0 ] || echo "NodeName=n[1-$nodes] Name=gpu File=/dev/tty[1-$cards]" >"$folder/gres.conf"
export SLURM_CONF=$folder/slurm.conf
slurmctld -c -f "$SLURM_CONF"
for node in $(seq "$nodes"); do
  mkdir -p "$folder/spool.n$node"
  slurmd -N "n$node" -f "$SLURM_CONF"
done
for _ in $(seq 200); do
  [ "$(sinfo -h -N -o %t 2>&1 | grep -c '^idle$')" = "$nodes" ] && exit 0
  sleep 0.1
done
tail -n 20 "$folder/log/slurmctld.log" >&2
exit 1
