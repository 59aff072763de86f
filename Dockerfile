# One image for every process: `headrace run`, `headrace slo`, `headrace simulate`, `headrace topics create`.
#   docker build -t headrace .                                     ONNX Runtime for the CPU, and the SLO app
#   docker build -t headrace:gpu --build-arg EXTRAS=slo,cuda .     with CUDA and cuDNN
#   docker build -t headrace:s3 --build-arg PACKAGES=s3fs .        with packages of your own, here for checkpoints in S3
# Builds with BuildKit and with the classic builder.
ARG PYTHON=python:3.11-slim-bookworm

# The packages, before our own files: a change of ours leaves this layer as it is.
FROM ${PYTHON} AS packages
ARG EXTRAS=slo
ARG PACKAGES=
COPY pyproject.toml constraints.txt deploy/image/requirements.py /build/
RUN python -m venv /opt/headrace \
    && python /build/requirements.py /build/pyproject.toml "${EXTRAS}" > /build/requirements.txt \
    && /opt/headrace/bin/pip install --no-cache-dir --disable-pip-version-check \
        -c /build/constraints.txt -r /build/requirements.txt ${PACKAGES} \
    && find /opt/headrace -type d -name tests -prune -exec rm -rf {} +

# Ours, its kernels compiled and its models run: a container decides seconds after its start.
FROM packages AS product
COPY pyproject.toml README.md LICENSE /build/
COPY features /build/features
COPY models /build/models
COPY pipeline /build/pipeline
RUN /opt/headrace/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps /build
COPY deploy/image/processor.sh deploy/image/warm.sh /build/
RUN sh /build/processor.sh > /opt/headrace/processor \
    && PATH=/opt/headrace/bin:$PATH sh /build/warm.sh \
    && /opt/headrace/bin/pip uninstall --yes --quiet pip setuptools
COPY deploy/image/entrypoint.sh /opt/headrace/entrypoint
COPY deploy/image/health.py /opt/headrace/health.py
RUN chmod 0755 /opt/headrace/entrypoint

FROM ${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="headrace" \
      org.opencontainers.image.description="A stream processor for decisions that have a deadline" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 headrace \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/headrace --shell /usr/sbin/nologin headrace \
    && install -d -o 10001 -g 10001 /var/lib/headrace
COPY --from=product /opt/headrace /opt/headrace
# CUDA's libraries come as packages of Python, where the linker does not look; without the extra cuda there are none.
RUN find /opt/headrace/lib -path '*/nvidia/*' -name lib -type d > /etc/ld.so.conf.d/headrace.conf && ldconfig
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEADRACE_HTTP__PORT=9464 \
    HEADRACE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/headrace
EXPOSE 9464
HEALTHCHECK --interval=5s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-S", "/opt/headrace/health.py", "/healthz"]
ENTRYPOINT ["/opt/headrace/entrypoint"]
CMD ["run"]
