# The root filesystem by a container of Debian's own image, where the machine has no mmdebstrap.
ARG RELEASE
FROM debian:${RELEASE}-slim
ARG PACKAGES
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${PACKAGES} \
  && rm -rf /var/lib/apt/lists/*
