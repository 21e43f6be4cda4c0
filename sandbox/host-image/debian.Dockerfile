# The root filesystem by a container of Debian's own image, where the machine has no mmdebstrap.
FROM debian:trixie-slim
COPY packages.txt /root/
RUN apt-get update \
  && grep -v -e '^#' -e '^$' /root/packages.txt \
    | DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends \
  && rm -rf /root/packages.txt /var/lib/apt/lists/*
