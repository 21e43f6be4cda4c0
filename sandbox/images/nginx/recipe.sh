skeleton
unpack nginx nginx-common libc6 libcrypt1 libpcre2-8-0 libssl3t64 zlib1g libzstd1
cd "$root"
mkdir -p var/log/nginx var/lib/nginx etc/nginx/conf.d
# Logs go where `docker logs` finds them.
ln -sf /dev/stdout var/log/nginx/access.log
ln -sf /dev/stderr var/log/nginx/error.log
cat >etc/nginx/nginx.conf <<'CONF'
user www-data;
worker_processes 1;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events { worker_connections 512; }
http {
  include /etc/nginx/mime.types;
  access_log /var/log/nginx/access.log;
  sendfile on;
  include /etc/nginx/conf.d/*.conf;
}
CONF
cat >etc/nginx/conf.d/default.conf <<'CONF'
server {
  listen 80;
  server_name localhost;
  location / {
    root /usr/share/nginx/html;
    index index.html;
  }
}
CONF
