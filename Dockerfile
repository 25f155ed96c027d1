# The image of kiln: six static binaries and nothing else.
#
#   make image IMAGE=registry.example.com/kiln:dev
#
# kiln-sidecar is the first process of a runner pod's kiln container: it installs kiln-hook
# and kiln-agent, the process of job containers, and supervises kilnd, which is the gate
# of build pods, too, and kiln-init is what the gate hands to
# the container that executes a Dockerfile;
# kiln-login exchanges a cloud's token for a registry login, where that is set.
ARG GO_IMAGE=golang:1.26.8
# The compiler runs on the builder's own architecture, whatever the image is for.
FROM --platform=${BUILDPLATFORM:-linux/amd64} ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY login/go.mod login/go.sum login/
RUN go mod download && go mod download -C login
COPY daemon daemon
COPY hookshim hookshim
COPY internal internal
COPY login login
ARG VERSION=unknown
# Set by BuildKit; a builder that sets none builds for its own architecture.
ARG TARGETARCH
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOARCH=${TARGETARCH}
RUN go build -ldflags "-s -w -X main.version=${VERSION}" -o /out/kilnd ./daemon \
 && go build -ldflags "-s -w -X main.version=${VERSION}" -o /out/kiln-hook ./hookshim \
 && go build -ldflags "-s -w" -o /out/kiln-agent ./daemon/kiln-agent \
 && go build -ldflags "-s -w" -o /out/kiln-init ./daemon/kiln-init \
 && go build -ldflags "-s -w" -o /out/kiln-sidecar ./daemon/kiln-sidecar \
 && go build -C login -ldflags "-s -w" -o /out/kiln-login .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/kilnd /out/kiln-hook /out/kiln-agent /out/kiln-init /out/kiln-sidecar /out/kiln-login /
USER 65532:65532
ENTRYPOINT ["/kilnd"]
