{{- define "kiln.labels" -}}
app.kubernetes.io/name: kiln
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (replace "+" "_" .Chart.Version) | quote }}
{{- end }}

{{- /* What no type can say of the values. */ -}}
{{- define "kiln.validate" -}}
{{- if not .Values.image }}
{{- fail "image is not set: none of kiln is published, so build one with `make image`, push it to your registry, and write --set image=registry.example.com/kiln:v1" }}
{{- end }}
{{- if and (not .Values.registry.host) (not (and .Values.registry.pushHost .Values.registry.pullHost)) }}
{{- fail "registry.host is not set: write the registry and path for the images of actions, such as --set registry.host=ghcr.io/acme/kiln" }}
{{- end }}
{{- if and (eq .Values.mode "kubernetes") (not .Values.scaleSets) (not .Values.serviceAccounts) }}
{{- fail "scaleSets is empty: in mode kubernetes kiln uses the service account of each runner scale set, so name them, such as --set 'scaleSets={my-set}'" }}
{{- end }}
{{- end }}

{{- define "kiln.overlay.context" -}}
mode: {{ .mode }}
image: {{ .Values.image | quote }}
runnerImage: {{ .Values.runner.image | quote }}
delegate: {{ .Values.runner.delegate | quote }}
secretName: {{ .Values.registry.secretName | quote }}
caConfigMap: {{ .Values.registry.caConfigMap | quote }}
storageClass: {{ .Values.runner.storageClass | quote }}
workSize: {{ .Values.runner.workSize | quote }}
scaleSet: {{ .scaleSet | default "" | quote }}
namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{- define "kiln.peers" -}}
{{- range . }}
{{- if .cidr }}
- ipBlock:
    cidr: {{ .cidr }}
{{- else }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .namespace }}
  {{- with .podLabels }}
  podSelector:
    matchLabels:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* One egress rule for each entry: ports belong to a rule, not to a peer. */ -}}
{{- define "kiln.egress" -}}
{{- range . }}
- to:
    {{- include "kiln.peers" (list .) | trim | nindent 4 }}
  {{- with .ports }}
  ports:
    {{- range . }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
