# The root filesystem by a container of Debian's own image, where the machine has no mmdebstrap.
FROM debian:trixie-slim
COPY packages.txt stage-images.sh /root/
RUN apt-get update \
  && grep -v -e '^#' -e '^$' /root/packages.txt \
    | DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends \
  && sh /root/stage-images.sh \
  && rm -rf /root/packages.txt /root/stage-images.sh /var/lib/apt/lists/*
