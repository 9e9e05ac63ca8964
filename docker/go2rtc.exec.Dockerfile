# go2rtc with mb-encode inside, for exec mode. Built from the repository's root:
#
#   docker build -f docker/go2rtc.exec.Dockerfile -t mb-encode-go2rtc .
#
# Needs BuildKit (the default since Docker 23, DOCKER_BUILDKIT=1 before).
#
# Size: on go2rtc's Debian image, which has ffmpeg and half of Mesa already
# (0.9 GB), this adds 5 MB. On Debian with nothing but go2rtc (160 MB) it adds
# 215 MB and makes 376 MB; nearly all of that is Mesa and its LLVM, which draw
# where there is no GPU.

# Debian 13, whose own cargo is the oldest that this project builds with.
ARG BUILD_IMAGE=debian:13-slim
# go2rtc's Debian image. Its `latest` is Alpine, and NVIDIA's driver libraries
# need glibc. Both stages must have the same Debian release.
ARG BASE_IMAGE=alexxit/go2rtc:1.9.14-hardware


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


FROM ${BASE_IMAGE}

# Mesa draws where there is no GPU. The health check needs curl. The NVIDIA
# container toolkit brings the EGL library, but not every version of it brings
# the file by which libglvnd finds it; where the library itself is missing,
# libglvnd goes on to Mesa.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      curl libegl-mesa0 libegl1 libgl1-mesa-dri \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /usr/share/glvnd/egl_vendor.d \
 && printf '%s\n' \
      '{"file_format_version": "1.0.0", "ICD": {"library_path": "libEGL_nvidia.so.0"}}' \
      > /usr/share/glvnd/egl_vendor.d/10_nvidia.json

COPY --from=build /out/mb-encode /usr/local/bin/mb-encode
# Not under /config, which the base image declares a volume.
COPY docker/go2rtc.exec.yaml /etc/go2rtc/go2rtc.yaml

# HOME: the user below has no home, and drivers keep their shader caches there.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility \
    HOME=/tmp

# No port is below 1024 and nothing is written outside /tmp, so root is not
# needed, and any other user works as well.
USER 1000:1000
# go2rtc by itself would let everybody who reaches it change its streams.
CMD ["mb-encode", "gate", "--go2rtc", "go2rtc", "--config", "/etc/go2rtc/go2rtc.yaml"]
