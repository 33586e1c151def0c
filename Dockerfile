# Builds the binary, and an image with nothing else in it.
# Unsigned callbacks from outside are refused until you say so; see the README for what to pass.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# For brokers: --build-arg FEATURES=default,jetstream,rabbitmq
# For several receivers on PostgreSQL: --build-arg FEATURES=default,postgres
ARG FEATURES=default
# The lock file decides every version. `dist` is the release profile with LTO, stripped.
RUN cargo build --locked --profile dist --features "$FEATURES" --bin beckn-receiver
# The data directory is copied with its owner: the runtime image has no shell to make one.
RUN mkdir /data

# glibc and libgcc, no shell, no package manager; the user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/beckn-receiver /usr/local/bin/beckn-receiver
COPY --from=build --chown=65532:65532 /data /data
# In a container, loopback would reach nobody.
ENV BECKN_RECEIVER_HTTP__LISTEN=0.0.0.0:8080 \
    BECKN_RECEIVER_OPERATIONS__LISTEN=0.0.0.0:9090 \
    BECKN_RECEIVER_INBOX__PATH=/data
USER 65532:65532
VOLUME /data
# The operations listener (9090) is for the cluster, not for the world, so it is not exposed here.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["/usr/local/bin/beckn-receiver", "health"]
ENTRYPOINT ["/usr/local/bin/beckn-receiver"]
CMD ["serve"]
