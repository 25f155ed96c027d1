FROM busybox
ENTRYPOINT ["/bin/echo", "built from alpine.Dockerfile"]
