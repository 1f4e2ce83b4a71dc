{{- define "driftd.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "driftd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "driftd.name" .) .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "driftd.name" .) | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "driftd.selector" -}}
app.kubernetes.io/name: {{ include "driftd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "driftd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "driftd.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "driftd.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "driftd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "driftd.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- define "driftd.port" -}}
{{ dig "http" "port" 9464 .Values.config | int }}
{{- end }}

{{/* What driftd.yaml says: the values, and what the pod decides. */}}
{{- define "driftd.config" -}}
{{- $http := dict "host" "0.0.0.0" "port" (include "driftd.port" . | int) -}}
{{- $config := mergeOverwrite (dict "http" $http) (deepCopy .Values.config) -}}
{{ toYaml (set $config "state" "/var/lib/driftd") }}
{{- end }}

{{- define "driftd.hasReferences" -}}
{{- if or .Values.references.files .Values.references.existingConfigMap .Values.references.existingClaim -}}yes{{- end -}}
{{- end }}

{{/* The ports of the brokers, as the configuration and the values name them. */}}
{{- define "driftd.kafkaPorts" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.config.kafka.bootstrap_servers -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trim .)) | default "9092" | int) -}}
{{- end -}}
{{- range .Values.networkPolicy.kafka.ports }}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range $ports | uniq | sortAlpha }}
- {port: {{ . }}, protocol: TCP}
{{- end -}}
{{- end }}

{{- define "driftd.probe" -}}
{{- if .command }}
exec:
  command: {{ toJson .command }}
{{- else }}
httpGet: {path: {{ .path }}, port: http, scheme: {{ .scheme }}}
{{- end }}
{{ toYaml .times }}
{{- end }}

{{/* What cannot be: said in a line before anything is installed. */}}
{{- define "driftd.refused" -}}
{{- range list "kafka" "topics" "models" -}}
{{- if not (index $.Values.config .) -}}
{{- fail (printf "config.%s is missing: `config` is what driftd.yaml says (docs/configuration.md)" .) -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey .Values.config "replicas") -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail (printf "replicas: %d pods of one group need a section `replicas` in `config`; without it driftd is one process, and a second one would read the same partitions" (int .Values.replicas)) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling.enabled: several pods of one group need a section `replicas` in `config`; without it driftd is one process" -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas %d must not exceed maxReplicas %d" (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- $many := list -}}
{{- range list "files" "existingConfigMap" "existingClaim" -}}
{{- if index $.Values.references . }}{{- $many = append $many . -}}{{- end -}}
{{- end -}}
{{- if gt (len $many) 1 -}}
{{- fail (printf "references: %s are given: take one of them" (join " and " $many)) -}}
{{- end -}}
{{- range list "sasl.password" "ssl.key.password" "ssl.key.pem" -}}
{{- if hasKey ($.Values.config.kafka.properties | default dict) . -}}
{{- fail (printf "config.kafka.properties.%s: a secret does not belong into a ConfigMap: name a file of `secrets` instead" .) -}}
{{- end -}}
{{- end -}}
{{- if and (dig "http" "web_config_file" "" .Values.config) (eq .Values.probes.scheme "HTTP") (not .Values.probes.command) -}}
{{- fail "config.http.web_config_file: probes would be refused: set probes.scheme to HTTPS, or probes.command where passwords or certificates are asked for" -}}
{{- end -}}
{{- end }}
