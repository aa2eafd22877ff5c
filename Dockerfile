# The suite with its leaderboard, on the CPU:
#   docker build -t adaps .
#   docker run --rm -v "$PWD/runs:/home/adaps/runs" adaps leaderboard run --suite quick --out runs/quick
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /opt/adaps

# torch first and alone, at the fixed version: this layer stays when the sources change.
COPY constraints.txt ./
RUN python -m pip install "$(grep '^torch==' constraints.txt)"

COPY pyproject.toml PACKAGE.md LICENSE ./
COPY adaps_envs ./adaps_envs
COPY adaps_agents ./adaps_agents
COPY baselines ./baselines
RUN python -m pip install -c constraints.txt ".[leaderboard]"

# Kernels are compiled once into a folder that the user may write, and come with the image.
RUN useradd --create-home adaps
USER adaps
WORKDIR /home/adaps
ENV NUMBA_CACHE_DIR=/home/adaps/.cache/numba
RUN adaps digest BPS-1 CRWARE-tiny-4a-2c LBF-8x8-2p-3f && mkdir runs

ENTRYPOINT ["adaps"]
CMD ["--help"]
