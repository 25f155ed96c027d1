{{- /* The overlays of runner scale sets, in the part of Go's template language that Helm shares. kilnd embeds this file (internal/scaleset/scaleset.tpl) and the chart has a copy of it (charts/kiln/templates/_overlay.tpl), written by `make generate`. The context is a dictionary: mode, image, imagePullSecrets (a list of names), runnerImage, delegate, handle, secretName, pullSecretName, caConfigMap, identityAudience, httpProxy, httpsProxy, proxySecretName, noProxy (a list of hosts), cpuRequest, cpuLimit, memoryRequest, memoryLimit, accessMode, storageClass, workSize, and for the applied form scaleSet and namespace. */ -}}

{{- define "kiln.overlay.values" -}}
# kiln for a runner scale set in {{ .mode }} mode: values of the chart gha-runner-scale-set.
# Helm replaces lists as a whole. A values file that comes after this one and sets
# initContainers, containers, volumes or imagePullSecrets of the template must repeat
# what is here.
{{- if eq .mode "kubernetes" }}
containerMode:
  type: kubernetes
  # The work folder, which the pods of jobs and of actions mount too.
  kubernetesModeWorkVolumeClaim:
    {{- include "kiln.overlay.claim" . | nindent 4 }}
{{- end }}
template:
  {{- include "kiln.overlay.template" . | nindent 2 }}
{{ end }}

{{- define "kiln.overlay.apply" -}}
# kiln for the runner scale set {{ .scaleSet }} in {{ .mode }} mode, beside what Helm set:
#   kubectl apply --server-side --field-manager=kiln -f FILE
{{- if eq .mode "kubernetes" }}
# The scale set has containerMode kubernetes, which sets ACTIONS_RUNNER_CONTAINER_HOOKS.
# Give that variable the value below in the values of the scale set; else this conflicts.
{{- else }}
# The chart of the scale set sets a service account. Set the one below in its values,
# template.spec.serviceAccountName; else this conflicts. docs/install.md tells how a scale
# set that is there changes its account.
{{- end }}
apiVersion: actions.github.com/v1alpha1
kind: AutoscalingRunnerSet
metadata:
  name: {{ .scaleSet | quote }}
  namespace: {{ .namespace | quote }}
spec:
  template:
    {{- include "kiln.overlay.template" . | nindent 4 }}
{{ end }}

{{- define "kiln.overlay.claim" -}}
accessModes: [{{ .accessMode }}]
{{- if .storageClass }}
storageClassName: {{ .storageClass | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .workSize | quote }}
{{- end }}

{{- define "kiln.overlay.template" -}}
metadata:
  labels:
    # What the PodMonitor selects.
    kiln.build/enabled: "true"
spec:
{{- if eq .mode "sealed" }}
  serviceAccountName: kiln
  # The token is projected into the kiln container alone.
  automountServiceAccountToken: false
{{- end }}
  securityContext:
    # The group of the runner image's user: makes the work volume writable for it.
    fsGroup: 1001
    seccompProfile:
      type: RuntimeDefault
{{- if .imagePullSecrets }}
  # For kiln's image; the pods of builds and of actions inherit them.
  imagePullSecrets:
{{- range .imagePullSecrets }}
    - name: {{ . | quote }}
{{- end }}
{{- end }}
  initContainers:
    # restartPolicy makes it a native sidecar: up before the runner, stopped after it. It
    # puts the hook on the volume kiln-bin first.
    - name: kiln
      image: {{ .image | quote }}
      command: [/kiln-sidecar]
      args: [run, --install=/opt/kiln]
      restartPolicy: Always
      # The settings. Without the ConfigMap the runner starts all the same, and a step
      # that needs kiln says what is not set.
      envFrom:
        - configMapRef:
            name: kiln
            optional: true
      env:
        - name: KILN_POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: KILN_NAMESPACE
          valueFrom:
            fieldRef:
              fieldPath: metadata.namespace
{{- if .secretName }}
        - name: KILN_DOCKER_CONFIG
          value: /var/run/kiln-registry/.dockerconfigjson
{{- end }}
{{- if .pullSecretName }}
        - name: KILN_PULL_SECRET_NAME
          value: {{ .pullSecretName | quote }}
        - name: KILN_PULL_DOCKER_CONFIG
          value: /var/run/kiln-pull/.dockerconfigjson
{{- end }}
{{- if .caConfigMap }}
        - name: KILN_CA_CONFIGMAP
          value: {{ .caConfigMap | quote }}
        - name: KILN_CA_FILE
          value: /etc/kiln-ca/ca.crt
{{- end }}
{{- if or .httpProxy .httpsProxy .proxySecretName }}
        {{- include "kiln.overlay.proxy" . | nindent 8 }}
{{- end }}
      ports:
        - name: kiln-metrics
          containerPort: 9465
      # Ends once the exchange is served, and after 20 seconds in any case: the runner
      # container starts after it, and a step that needs kiln says what is wrong. It asks
      # no port, which another container of the pod may hold. A start-up probe would be
      # asked once a second, and the runner would wait for that.
      # There is no liveness probe: what a restart could mend, the supervisor does.
      lifecycle:
        postStart:
          exec:
            command: [/kiln-sidecar, ready, --wait=21s, --patience=20s]
      securityContext: {{- include "kiln.overlay.restricted" . | nindent 8 }}
      {{- include "kiln.overlay.resources" . | nindent 6 }}
      volumeMounts:
        - name: kiln-bin
          mountPath: /opt/kiln
        - name: kiln-exchange
          mountPath: /var/run/kiln
        - name: kiln-state
          mountPath: /var/lib/kiln
        - name: kiln-files
          mountPath: /etc/kiln
          readOnly: true
{{- if .secretName }}
        - name: kiln-registry
          mountPath: /var/run/kiln-registry
          readOnly: true
{{- end }}
{{- if .pullSecretName }}
        - name: kiln-pull
          mountPath: /var/run/kiln-pull
          readOnly: true
{{- end }}
{{- if .caConfigMap }}
        - name: kiln-ca
          mountPath: /etc/kiln-ca
          readOnly: true
{{- end }}
{{- if .identityAudience }}
        - name: kiln-identity
          mountPath: /var/run/kiln-identity
          readOnly: true
{{- end }}
{{- if eq .mode "sealed" }}
        - name: kiln-token
          mountPath: /var/run/secrets/kubernetes.io/serviceaccount
          readOnly: true
{{- end }}
  containers:
    - name: runner
{{- if not .scaleSet }}
      image: {{ .runnerImage | quote }}
      command: [/home/runner/run.sh]
{{- end }}
      env:
        - name: ACTIONS_RUNNER_CONTAINER_HOOKS
          value: /opt/kiln/hook.sh
        # Has images built ahead of the steps that want them. A script of your own that is
        # to run at the start of each job is named by KILN_JOB_STARTED.
        - name: ACTIONS_RUNNER_HOOK_JOB_STARTED
          value: /opt/kiln/job-started.sh
{{- if eq .mode "sealed" }}
        - name: ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER
          value: "false"
{{- else }}
        # The stock hook: it gets every call that kiln does not serve.
        - name: KILN_DELEGATE
          value: {{ .delegate | quote }}
        # What kiln serves: all container steps; dockerfile, to leave those with a ready
        # image to the stock hook too; or job, whole jobs with container: and services:.
        - name: KILN_HANDLE
          value: {{ .handle | quote }}
{{- end }}
      # No raw sockets: they hear, and answer, what kilnd sends.
      securityContext:
        capabilities:
          drop: [NET_RAW]
      volumeMounts:
{{- if eq .mode "sealed" }}
        - name: work
          mountPath: /home/runner/_work
{{- end }}
        - name: kiln-bin
          mountPath: /opt/kiln
          readOnly: true
        - name: kiln-exchange
          mountPath: /var/run/kiln
  volumes:
{{- if eq .mode "sealed" }}
    # The work folder, which the pods of actions mount too.
    - name: work
      ephemeral:
        volumeClaimTemplate:
          spec:
            {{- include "kiln.overlay.claim" . | nindent 12 }}
{{- end }}
    - name: kiln-bin
      emptyDir: {}
    # On disk and without sizeLimit: memory would be charged to the writer, and a limit
    # evicts the whole pod.
    - name: kiln-exchange
      emptyDir: {}
    - name: kiln-state
      emptyDir: {}
    # Pod templates that settings name.
    - name: kiln-files
      configMap:
        name: kiln-files
        optional: true
{{- if .secretName }}
    # For look-ups in the registry; a build pod mounts the same Secret for its gate.
    - name: kiln-registry
      secret:
        secretName: {{ .secretName | quote }}
        optional: true
        items:
          - key: .dockerconfigjson
            path: .dockerconfigjson
{{- end }}
{{- if .pullSecretName }}
    # For look-ups of base images; a build pod mounts the same Secret for its gate.
    - name: kiln-pull
      secret:
        secretName: {{ .pullSecretName | quote }}
        optional: true
        items:
          - key: .dockerconfigjson
            path: .dockerconfigjson
{{- end }}
{{- if .caConfigMap }}
    - name: kiln-ca
      configMap:
        name: {{ .caConfigMap | quote }}
        optional: true
{{- end }}
{{- if .identityAudience }}
    # What the cloud takes for a login to the registry, and the API server does not. In
    # the kiln container alone; a build pod has its own for its gate.
    - name: kiln-identity
      projected:
        sources:
          - serviceAccountToken:
              audience: {{ .identityAudience | quote }}
              expirationSeconds: 3600
              path: token
{{- end }}
{{- if eq .mode "sealed" }}
    - name: kiln-token
      projected:
        sources:
          - serviceAccountToken:
              path: token
              expirationSeconds: 3607
          - configMap:
              name: kube-root-ca.crt
              items:
                - key: ca.crt
                  path: ca.crt
          - downwardAPI:
              items:
                - path: namespace
                  fieldRef:
                    fieldPath: metadata.namespace
{{- end }}
{{- end }}

{{- define "kiln.overlay.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "kiln.overlay.resources" -}}
resources:
  requests:
    cpu: {{ .cpuRequest | quote }}
    memory: {{ .memoryRequest | quote }}
{{- if or .cpuLimit .memoryLimit }}
  limits:
{{- if .cpuLimit }}
    cpu: {{ .cpuLimit | quote }}
{{- end }}
{{- if .memoryLimit }}
    memory: {{ .memoryLimit | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kiln.overlay.proxy" -}}
# The way out for kiln, and from there for the gates and the RUN steps of builds. A
# RUN step gets no proxy whose URL has a user.
{{- range $variable, $value := dict "HTTP_PROXY" .httpProxy "HTTPS_PROXY" .httpsProxy }}
{{- if $.proxySecretName }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $.proxySecretName | quote }}
      key: {{ $variable }}
      optional: true
{{- else if $value }}
- name: {{ $variable }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
# The first is the address of the API server, which the kubelet puts in.
- name: NO_PROXY
  value: "$(KUBERNETES_SERVICE_HOST),localhost,127.0.0.1,::1,.svc,.cluster.local{{ range .noProxy }},{{ . }}{{ end }}"
{{- end }}
