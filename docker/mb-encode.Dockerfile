# A worker by itself, and the edge in front of many, for clusters. Built from the repository's root:
#
#   docker build -f docker/mb-encode.Dockerfile -t mb-encode .
#   docker build -f docker/mb-encode.Dockerfile -t mb-encode-edge --target edge .
#
# Needs BuildKit (the default since Docker 23, DOCKER_BUILDKIT=1 before).
#
# The worker's has the program and the libraries that find an EGL driver. The NVIDIA container toolkit brings that of a
# GPU; with --build-arg MESA=1 the image has one that draws without any, and its LLVM.

# Debian 13, whose own cargo is the oldest that this project builds with.
ARG BUILD_IMAGE=debian:13-slim
# NVIDIA's driver libraries need glibc.
ARG BASE_IMAGE=debian:13-slim
# The edge has its program, which needs no library.
ARG GO2RTC_IMAGE=alexxit/go2rtc:1.9.14


# The same as in go2rtc.exec.Dockerfile, so that it is built once for both.
FROM ${BUILD_IMAGE} AS build

# libclang-dev: the shader translator's bindings are made with it.
# nasm: without it OpenH264 is built without its assembly, several times slower.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates cargo g++ libclang-dev nasm rustc \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# Compiled dependencies stay in the target cache between builds. Our own sources
# are touched, because cargo goes by their dates, and those of another checkout
# can be older than what is in the cache.
RUN --mount=type=cache,id=mb-encode-cargo,target=/root/.cargo/registry,sharing=locked \
    --mount=type=cache,id=mb-encode-target,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
 && cargo --version \
 && cargo build --release --locked --bin mb-encode \
 && install -s -D target/release/mb-encode /out/mb-encode


# libEGL and what it dispatches with, without the Mesa that Debian's packages of them ask for.
FROM ${BUILD_IMAGE} AS loaders

WORKDIR /packages
RUN apt-get update \
 && apt-get download libegl1 libglvnd0 \
 && for package in *.deb; do dpkg -x "$package" /loaders || exit; done \
 && rm -r /loaders/usr/share \
 && mkdir -p /loaders/usr/share/glvnd/egl_vendor.d \
 && printf '%s\n' \
      '{"file_format_version": "1.0.0", "ICD": {"library_path": "libEGL_nvidia.so.0"}}' \
      > /loaders/usr/share/glvnd/egl_vendor.d/10_nvidia.json


FROM ${GO2RTC_IMAGE} AS go2rtc


FROM ${BASE_IMAGE} AS edge

COPY --from=go2rtc /usr/local/bin/go2rtc /usr/local/bin/go2rtc
COPY --from=build /out/mb-encode /usr/local/bin/mb-encode

# The socket between the two is in /tmp.
USER 10001:10001
EXPOSE 1984 8554 8555 8555/udp
# Mount or name the list of streams: mb-encode go2rtc-config makes it.
CMD ["mb-encode", "gate", "--go2rtc", "go2rtc", "--config", "/etc/edge/go2rtc.yaml"]


FROM ${BASE_IMAGE} AS worker

ARG MESA=
RUN [ -z "$MESA" ] || { \
      apt-get update \
      && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
           libegl-mesa0 libegl1 libgl1-mesa-dri \
      && apt-get clean \
      && rm -rf /var/lib/apt/lists/*; \
    }

COPY --from=loaders /loaders /
COPY --from=build /out/mb-encode /usr/local/bin/mb-encode

# HOME: no other user has one, and drivers look there for their shader caches. They do without where nothing can be written.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility \
    HOME=/tmp

# Nothing is written, and any other user works as well.
USER 10001:10001
EXPOSE 9000
# Beyond loopback it wants a token from its readers. Mount one, or add --insecure-no-token where nobody else is.
CMD ["mb-encode", "--listen", "0.0.0.0:9000", "--token-file", "/run/secrets/mb-encode/token"]
