# syntax=docker/dockerfile:1

# The build: a static program, the certificate authorities of the public web, and the time
# zones. Everything that the final image holds is gathered below /image.
FROM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" \
        -o /image/rollebro ./cmd/rollebro

RUN mkdir -p /data /image/etc/ssl/certs /image/usr/share /image/home/cert /image/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && cp -r /usr/share/zoneinfo /image/usr/share/ \
 && echo 'rollebro:x:65532:65532::/data:/sbin/nologin' > /image/etc/passwd \
 && echo 'rollebro:x:65532:' > /image/etc/group \
 && cp LICENSE /image/LICENSE \
 && chmod 1777 /image/tmp


# What runs: no shell, no package manager, nobody's root.
FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="Rollebro" \
      org.opencontainers.image.description="Keeps a Danish municipality's roles in MitID Erhverv equal to its role catalogue" \
      org.opencontainers.image.source="https://github.com/rollebro/rollebro" \
      org.opencontainers.image.documentation="https://github.com/rollebro/rollebro#readme" \
      org.opencontainers.image.licenses="MPL-2.0" \
      org.opencontainers.image.version="${VERSION}"

COPY --from=build --chown=0:0 /image/ /
COPY --from=build --chown=65532:65532 /data /data

ENV TZ=Europe/Copenhagen \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

# Without a database setting the SQLite file, and the key of the CPR numbers in it, lie here.
VOLUME /data
WORKDIR /data
USER 65532:65532
EXPOSE 8090

# There is no shell or curl to ask with, so the program asks itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/rollebro", "healthcheck"]

ENTRYPOINT ["/rollebro"]
CMD ["serve"]
