ARG BASE=gcc
FROM ${BASE}:12 AS build
ARG VERSION=1.2.3
WORKDIR /src
COPY main.c ./
RUN gcc -O2 -static -Wall \
      -DVERSION="\"$VERSION\"" \
      -o /out main.c
RUN echo '{"level":"info","msg":"as JSON","time":"2026-01-01T00:00:00Z"}' && printf '  5%%\r 50%%\r100%%\n' && sleep 1.5 && echo "Error: x" && echo "Usage:" && echo "  executor"

FROM busybox AS test
COPY --from=build /out /out
RUN /out && echo "unterminated \c" && printf 'no newline'

FROM scratch
LABEL org.opencontainers.image.title="many things"
COPY --from=test /out /entrypoint
ENV GREETING="hello world"
ENTRYPOINT ["/entrypoint"]
