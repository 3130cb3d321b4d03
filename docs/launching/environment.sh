# To be sourced on every node before `ray start`, and before `nas`: workers see what `ray start` saw.
# /shared is storage that all nodes mount at the same path, with the repository and its .venv in /shared/cellstack.
cd /shared/cellstack && . .venv/bin/activate
export NAS_DATA=/shared/data
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/shared/ray_token
export RAY_USAGE_STATS_ENABLED=0
