# geotag with S3, HEIC and raw photos. docs/unattended.md says how to build and run it.
FROM python:3.12-slim

# The package index of PyTorch's CPU-only builds, as pytorch.org shows it. Where none is given, pip
# installs the build for NVIDIA GPUs, which is 4.5 GB larger.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision

WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY geotag geotag
RUN pip install --no-cache-dir ".[s3,heif,raw]" && rm -rf /src/*

# Photos are mounted at /photos, read-only unless they are written; tables, catalogs and journals
# belong to /state; /cache keeps the compiled network between runs.
RUN useradd --uid 10001 --create-home geotag && install -d -o geotag -g geotag /state /cache
ENV XDG_STATE_HOME=/state XDG_CACHE_HOME=/cache
USER 10001
WORKDIR /state
VOLUME ["/state", "/cache"]
ENTRYPOINT ["geotag"]
