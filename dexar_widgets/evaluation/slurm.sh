#!/bin/bash
# dexar evaluate as an array of SLURM jobs, each with its share of the samples; --out is a folder that all of them see.
#
#   dexar evaluate --slurm > evaluate.sh
#   sbatch evaluate.sh --data imagenet:images --model llava-hf/llava-1.5-7b-hf --out results
#   sbatch --dependency=singleton --array=0-0 evaluate.sh …the same…
#
# The last line measures what the array left, if a job failed, and joins the tables when all are through. Anything can
# be submitted again, with as many jobs as you like (--array counts from 0): what is there is not done again.
#SBATCH --job-name=dexar
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=40G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=dexar-%A-%a.log
set -eu

exec dexar evaluate --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
