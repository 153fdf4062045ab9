# One image for every role: API, dispatcher, migration, Ray head and Ray workers.
FROM python:3.11-slim AS base

ENV PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies first, so that a change of the code does not install them again.
# A wheel of torch in the folder wheels/ of the context is preferred, for example its CPU build.
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN --mount=type=bind,target=/context \
    python -m venv /opt/nasmith \
 && PIP_FIND_LINKS=/context/wheels /opt/nasmith/bin/pip install -c constraints.txt torch==2.13.0
COPY nasmith nasmith
COPY models models
COPY search search
COPY service service
COPY migrations migrations
RUN /opt/nasmith/bin/pip install -c constraints.txt ./nasmith '.[s3,otel,onnx]'

ENV PATH=/opt/nasmith/bin:$PATH
RUN useradd --create-home --uid 10001 nasmith \
 && mkdir -p /var/lib/nasmith /var/lib/nasmith-keys \
 && chmod 0700 /var/lib/nasmith-keys \
 && chown nasmith:nasmith /var/lib/nasmith /var/lib/nasmith-keys
USER nasmith
WORKDIR /var/lib/nasmith
ENV NASMITH_HOME=/var/lib/nasmith
VOLUME /var/lib/nasmith
EXPOSE 8000
CMD ["nasmith", "--help"]
