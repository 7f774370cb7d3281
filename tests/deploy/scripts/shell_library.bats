#!/usr/bin/env bats
# The functions of deploy/lib that need neither AWS nor a cluster. Run by test_shell.py, or: bats tests/deploy/scripts

setup() {
  lib=$BATS_TEST_DIRNAME/../../../deploy/lib
  . "$lib/messages.sh"
  . "$lib/manifest.sh"
  . "$lib/sources.sh"
  . "$lib/registry.sh"
  SCRATCH=$BATS_TEST_TMPDIR
  file=$BATS_TEST_TMPDIR/manifest.yaml
}

@test "the image is found whatever stands around it" {
  cat >"$file" <<'YAML'
kind: Service
metadata:
  name: iot-producer
---
spec:
  template:
    spec:
      initContainers:
        - name: iot-producer
          image: other/init:1
      containers:
        # - name: iot-producer
        - image: other/sidecar:2
          name: sidecar
        - image: "iot-producer:latest"  # build-and-push.sh puts it
          env:
            - name: image
              value: "x"
          name: iot-producer
      volumes:
        - name: iot-producer
YAML
  [ "$(image_in "$file")" = iot-producer:latest ]
}

@test "only the value changes, and its comment stays" {
  printf '%s\n' 'containers:' '- name: iot-producer' "  image: 'a:1' # why" '- name: b' '  image: b:2' >"$file"
  set_image "$file" r.example/a@sha256:12
  [ "$(cat "$file")" = "$(printf '%s\n' 'containers:' '- name: iot-producer' '  image: r.example/a@sha256:12 # why' '- name: b' '  image: b:2')" ]
  [ "$(image_in "$file")" = r.example/a@sha256:12 ]
}

@test "a digest is replaced as a placeholder is, and again to the same changes nothing" {
  printf '%s\n' 'containers:' '  - name: iot-producer' '    image: r.example/a@sha256:12' >"$file"
  set_image "$file" r.example/a@sha256:34
  [ "$(image_in "$file")" = r.example/a@sha256:34 ]
  cp "$file" "$file.before"
  set_image "$file" r.example/a@sha256:34
  cmp "$file" "$file.before"
}

@test "no such container, or two, is refused and nothing is changed" {
  printf '%s\n' 'containers:' '  - name: other' '    image: a:1' >"$file"
  cp "$file" "$file.before"
  run set_image "$file" b:2
  [ "$status" = 1 ]
  [[ $output == *"has 0 containers named iot-producer"* ]]
  printf '%s\n' 'containers:' '- name: iot-producer' '  image: a:1' '---' 'containers:' '- name: iot-producer' '  image: a:1' >"$file"
  run image_in "$file"
  [ "$status" = 1 ]
  [[ $output == *"has 2 containers"* ]]
}

@test "files that differ in the image alone are equal without it" {
  printf '%s\n' 'containers:' '- name: iot-producer' '  image: a:1' 'x: 1' >"$file"
  without_image "$file" >"$file.one"
  set_image "$file" r.example/b@sha256:12
  without_image "$file" >"$file.two"
  cmp "$file.one" "$file.two"
  sed -i 's/x: 1/x: 2/' "$file"
  without_image "$file" >"$file.three"
  ! cmp -s "$file.one" "$file.three"
}

@test "only what was there before build-and-push is a placeholder" {
  for image in "" iot-producer:set-by-build-and-push; do
    is_placeholder "$image"
  done
  for image in iot-producer:local user/iot-producer:1 r.example/iot-producer:1 localhost/iot-producer localhost:5001/x 127.0.0.1:5/x@sha256:1; do
    ! is_placeholder "$image"
  done
}

@test "what a Dockerfile copies" {
  cat >"$file" <<'DOCKER'
# COPY commented /
FROM python AS build
COPY --chown=1:1 pyproject.toml README.md /build/
copy ./src \
     # in between
     /build/src
COPY ["a file", "/x/"]
ADD https://example.org/x.tar /x/
COPY --from=build /venv /venv
RUN --mount=type=cache,target=/c --mount=type=bind,source=requirements,target=/r \
    pip install -r /r/x
RUN --mount=type=bind,from=build,source=/y,target=/y true
DOCKER
  [ "$(copied_by "$file")" = "$(printf '%s\n' README.md a file pyproject.toml requirements src | sort -u)" ]
}

@test "a path that cannot be told is the whole context" {
  printf '%s\n' 'FROM x' 'COPY $WHAT /x' >"$file"
  [ "$(copied_by "$file")" = . ]
  printf '%s\n' 'FROM x' 'COPY . /x' >"$file"
  [ "$(copied_by "$file")" = . ]
}

@test "http is for this machine only" {
  for host in localhost localhost:5001 127.0.0.1:5; do is_loopback "$host"; done
  for host in localhost.example r.example:5000 127x.example 10.0.0.1; do ! is_loopback "$host"; done
}

@test "an error has its remedies and its exit code" {
  run die 3 "it is broken" "mend it" "or leave it"
  [ "$status" = 3 ]
  [ "$output" = "$(printf '%s\n' 'error: it is broken' '  -> mend it' '  -> or leave it')" ]
}

@test "a dry run only says it" {
  DRY_RUN=true
  [ "$(perform "touch a file" touch "$BATS_TEST_TMPDIR/touched")" = "would: touch a file" ]
  [ ! -e "$BATS_TEST_TMPDIR/touched" ]
}
