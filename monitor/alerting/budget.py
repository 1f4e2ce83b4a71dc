"""The rules that are ours: what they are called, and the hysteresis of each."""

from dataclasses import replace

from monitor.alerting.rules import (
    BUDGET_RULE,
    CONTRACT_RULE,
    ERRORS_RULE,
    FROZEN_RULE,
    LATENCY_RULE,
    LATENESS_RULE,
    NO_DATA_RULE,
    PERFORMANCE_RULE,
    REACHABILITY_RULE,
    SCHEMA_RULE,
    SELF_CHECK_RULE,
    AlertRule,
    Severity,
)

EVERY_FEATURE = "__calibration__"  # the feature of the self-check's alert
BY_CHARTS = AlertRule(
    name=BUDGET_RULE, detector=BUDGET_RULE, fire_above=1.0, clear_below=1.0, severity=Severity.CRITICAL
)
BY_EFFECT = replace(BY_CHARTS, clear_below=0.5, hold=3, keep_firing_for=3)
BY_SELF_CHECK = AlertRule(
    name=SELF_CHECK_RULE, detector=SELF_CHECK_RULE, fire_above=1.0, clear_below=0.5, severity=Severity.WARNING
)
BY_CONTRACT = replace(BY_CHARTS, name=CONTRACT_RULE, detector=CONTRACT_RULE)  # by the same charts of rates
BY_SCHEMA = AlertRule(  # rows over those that chance does not bring
    name=SCHEMA_RULE, detector=SCHEMA_RULE, fire_above=1.0, clear_below=1.0, severity=Severity.CRITICAL
)
BY_LATENCY = replace(BY_CHARTS, name=LATENCY_RULE, detector=LATENCY_RULE)  # by the same charts, of the service
BY_ERRORS = replace(BY_CHARTS, name=ERRORS_RULE, detector=ERRORS_RULE)
BY_LATENESS = AlertRule(  # share of the events; as bad as the share is large
    name=LATENESS_RULE, detector=LATENESS_RULE, fire_above=0.05, clear_below=0.025, severity=Severity.CRITICAL
)
BY_REACHABILITY = AlertRule(  # seconds of silence
    name=REACHABILITY_RULE, detector=REACHABILITY_RULE, fire_above=60.0, clear_below=0.0, severity=Severity.CRITICAL
)
BY_PERFORMANCE = AlertRule(  # evidence over what is asked for
    name=PERFORMANCE_RULE, detector=PERFORMANCE_RULE, fire_above=1.0, clear_below=1.0, severity=Severity.CRITICAL
)
BY_FREEZE = AlertRule(  # rows of one value over those that chance does not bring
    name=FROZEN_RULE, detector=FROZEN_RULE, fire_above=1.0, clear_below=1.0, severity=Severity.CRITICAL
)
BY_NO_DATA = AlertRule(  # seconds without an event; how many are too many is the model's own
    name=NO_DATA_RULE, detector=NO_DATA_RULE, fire_above=0.0, clear_below=0.0, severity=Severity.CRITICAL
)
BY_STREAM = (BY_LATENESS, BY_REACHABILITY, BY_FREEZE, BY_NO_DATA)  # with a budget or without
OF_SERVICE = (*BY_STREAM, BY_LATENCY, BY_ERRORS)  # whose incidents are of the kind service
