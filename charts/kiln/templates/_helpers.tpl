{{- define "kiln.labels" -}}
app.kubernetes.io/name: kiln
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (replace "+" "_" .Chart.Version) | quote }}
{{- end }}

{{- /* As internal/cloudlogin has it. */ -}}
{{- define "kiln.identity.audience" -}}
{{- $cloud := get .Values.settings "KILN_IDENTITY" | toString }}
{{- if eq $cloud "aws" }}sts.amazonaws.com
{{- else if eq $cloud "azure" }}api://AzureADTokenExchange
{{- else if eq $cloud "gcp" }}https://iam.googleapis.com/{{ get .Values.settings "KILN_IDENTITY_GCP_PROVIDER" }}
{{- end }}
{{- end }}

{{- define "kiln.overlay.context" -}}
mode: {{ .mode }}
image: {{ .Values.image | quote }}
imagePullSecrets: {{ .Values.imagePullSecrets | toJson }}
runnerImage: {{ .Values.runner.image | quote }}
delegate: {{ .Values.runner.delegate | quote }}
handle: {{ .Values.runner.handle | quote }}
secretName: {{ .Values.registry.secretName | quote }}
pullSecretName: {{ .Values.registry.pullSecretName | quote }}
httpProxy: {{ .Values.proxy.http | quote }}
httpsProxy: {{ .Values.proxy.https | quote }}
proxySecretName: {{ .Values.proxy.secretName | quote }}
noProxy: {{ concat .Values.proxy.noProxy .Values.networkPolicy.apiServer .Values.networkPolicy.cluster | uniq | toJson }}
{{- with .Values.sidecar.resources }}
cpuRequest: {{ .requests.cpu | toString | quote }}
memoryRequest: {{ .requests.memory | toString | quote }}
cpuLimit: {{ .limits.cpu | default "" | toString | quote }}
memoryLimit: {{ .limits.memory | default "" | toString | quote }}
{{- end }}
identityAudience: {{ include "kiln.identity.audience" . | quote }}
caConfigMap: {{ .Values.registry.caConfigMap | quote }}
storageClass: {{ .Values.runner.storageClass | quote }}
accessMode: {{ .Values.runner.accessMode | quote }}
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
