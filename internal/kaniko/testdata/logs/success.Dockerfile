ARG IMAGE=busybox:1
FROM $IMAGE AS a
ARG TARGETARCH
RUN echo hello $TARGETARCH
COPY file /x/

FROM scratch
COPY --from=a /x/file /y
ENV A=b
ENTRYPOINT ["/y"]
