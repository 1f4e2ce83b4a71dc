"""What happened, as typed values: metrics, logs, notifications and the JSON routes are written from these alone."""

from monitor.facts.alerts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    LevelChanged,
    OffsetSpan,
    RequestsStand,
    RetrainDecided,
    RetrainWish,
)
from monitor.facts.contract import ContractBroken, ContractSample, SchemaChanged
from monitor.facts.daemon import (
    AuditHead,
    BackupFailed,
    CheckpointFailed,
    CheckpointSaved,
    ClockSet,
    DaemonStarted,
    DaemonStopped,
    DeliveryForgotten,
    DeliveryTried,
    NoticesUnclaimed,
    OutboxDecided,
    StateBegun,
    StateRecovered,
    StateReset,
    WebAccessChanged,
)
from monitor.facts.decisions import ApprovalLinkUsed, DecisionEnded, DecisionMade, DecisionRefused, DecisionsStand
from monitor.facts.events import (
    DeadLettersBlocked,
    DeadLettersDropped,
    DeadLettersKept,
    DeadLettersSized,
    EventsAhead,
    EventsCounted,
    EventsRejected,
    FieldsRejected,
    LateShare,
    PanesOpen,
    WatermarkAdvanced,
)
from monitor.facts.halves import HalvesCounted
from monitor.facts.learning import CalibrationLearning, CalibrationLearnt
from monitor.facts.performance import (
    DELAY_BOUNDS,
    ClassCoverage,
    ClassTold,
    CoverageTest,
    JoinCounted,
    LabelDelays,
    MetricTold,
    PerformanceDifference,
    PerformanceEstimated,
    PerformanceJudged,
    ReliabilityTold,
)
from monitor.facts.replicas import CountsComplete, CountsMissing, CountsQuarantined, ReplicaAssigned
from monitor.facts.reports import (
    BudgetTold,
    DayTold,
    IncidentTold,
    LabelsTold,
    MetricSeen,
    ModelTallied,
    OpenedTold,
    Report,
    ReportMade,
    RequestTold,
    VersionTold,
    WorthTold,
)
from monitor.facts.requests import RequestsServed, WindowRequests
from monitor.facts.runs import RetrainEnded, RetrainRunEnded, RetrainRunUnseen, RunsStand
from monitor.facts.service import ServiceJudged, ServiceLearning, ServiceLearnt, UsualLatency
from monitor.facts.sources import (
    ForeignCommit,
    LagMeasured,
    OffsetsExpired,
    OffsetsLost,
    PartitionsAssigned,
    PartitionsHeld,
    PartitionsUnreachable,
    PositionSuspected,
    ReaderChosen,
    RecordsSkipped,
    RecordsWaiting,
    SourceAnswered,
    SourceTroubled,
    StateLost,
    TopicsMissing,
)
from monitor.facts.versions import (
    ChartsTakenOver,
    FirstRowsCounted,
    ReferenceAbsent,
    ReferenceStoodIn,
    RegistryAnswered,
    VersionChanged,
    VersionSeen,
    VersionsStand,
)
from monitor.facts.windows import (
    BaselineTrails,
    CalibrationStands,
    DetectorFailed,
    FeatureQuality,
    FeaturesTracked,
    FewRows,
    Qualities,
    RateImproved,
    SubgroupCharted,
    TrackPoint,
    WindowClosed,
    WindowIds,
    WindowScored,
    WindowSpan,
)

Fact = (
    EventsCounted
    | EventsAhead
    | EventsRejected
    | FieldsRejected
    | DeadLettersKept
    | DeadLettersBlocked
    | DeadLettersDropped
    | DeadLettersSized
    | WindowClosed
    | WindowScored
    | DetectorFailed
    | FewRows
    | FeaturesTracked
    | SubgroupCharted
    | BaselineTrails
    | CalibrationStands
    | CalibrationLearning
    | CalibrationLearnt
    | ServiceLearning
    | ServiceLearnt
    | ServiceJudged
    | RateImproved
    | AlertSeen
    | AlertChanged
    | AlertEscalated
    | RetrainDecided
    | RequestsStand
    | RetrainRunEnded
    | RetrainRunUnseen
    | RetrainEnded
    | RunsStand
    | ApprovalLinkUsed
    | DecisionMade
    | DecisionRefused
    | DecisionEnded
    | DecisionsStand
    | LateShare
    | LevelChanged
    | WatermarkAdvanced
    | StateReset
    | StateBegun
    | StateRecovered
    | StateLost
    | BackupFailed
    | WebAccessChanged
    | PartitionsAssigned
    | PartitionsHeld
    | ReplicaAssigned
    | CountsQuarantined
    | CountsMissing
    | CountsComplete
    | PartitionsUnreachable
    | PositionSuspected
    | RecordsWaiting
    | TopicsMissing
    | ReaderChosen
    | OffsetsExpired
    | OffsetsLost
    | RecordsSkipped
    | ForeignCommit
    | SourceTroubled
    | SourceAnswered
    | LagMeasured
    | PanesOpen
    | CheckpointSaved
    | ClockSet
    | AuditHead
    | CheckpointFailed
    | DeliveryForgotten
    | DeliveryTried
    | NoticesUnclaimed
    | OutboxDecided
    | DaemonStarted
    | DaemonStopped
    | PerformanceJudged
    | PerformanceEstimated
    | JoinCounted
    | HalvesCounted
    | LabelDelays
    | RequestsServed
    | ContractBroken
    | SchemaChanged
    | ModelTallied
    | ReportMade
    | VersionSeen
    | VersionChanged
    | VersionsStand
    | ReferenceAbsent
    | FirstRowsCounted
    | ChartsTakenOver
    | ReferenceStoodIn
    | RegistryAnswered
)

__all__ = [
    "DELAY_BOUNDS",
    "AlertChanged",
    "AlertEscalated",
    "AlertSeen",
    "ApprovalLinkUsed",
    "AuditHead",
    "BackupFailed",
    "BaselineTrails",
    "BudgetTold",
    "CalibrationLearning",
    "CalibrationLearnt",
    "CalibrationStands",
    "ChartsTakenOver",
    "CheckpointFailed",
    "CheckpointSaved",
    "ClassCoverage",
    "ClassTold",
    "ClockSet",
    "ContractBroken",
    "ContractSample",
    "CountsComplete",
    "CountsMissing",
    "CountsQuarantined",
    "CoverageTest",
    "DaemonStarted",
    "DaemonStopped",
    "DayTold",
    "DeadLettersBlocked",
    "DeadLettersDropped",
    "DeadLettersKept",
    "DeadLettersSized",
    "DecisionEnded",
    "DecisionMade",
    "DecisionRefused",
    "DecisionsStand",
    "DeliveryForgotten",
    "DeliveryTried",
    "DetectorFailed",
    "EventsAhead",
    "EventsCounted",
    "EventsRejected",
    "Fact",
    "FeatureQuality",
    "FeaturesTracked",
    "FewRows",
    "FieldsRejected",
    "FirstRowsCounted",
    "ForeignCommit",
    "HalvesCounted",
    "IncidentTold",
    "JoinCounted",
    "LabelDelays",
    "LabelsTold",
    "LagMeasured",
    "LateShare",
    "LevelChanged",
    "MetricSeen",
    "MetricTold",
    "ModelTallied",
    "NoticesUnclaimed",
    "OffsetSpan",
    "OffsetsExpired",
    "OffsetsLost",
    "OpenedTold",
    "OutboxDecided",
    "PanesOpen",
    "PartitionsAssigned",
    "PartitionsHeld",
    "PartitionsUnreachable",
    "PerformanceDifference",
    "PerformanceEstimated",
    "PerformanceJudged",
    "PositionSuspected",
    "Qualities",
    "RateImproved",
    "ReaderChosen",
    "RecordsSkipped",
    "RecordsWaiting",
    "ReferenceAbsent",
    "ReferenceStoodIn",
    "RegistryAnswered",
    "ReliabilityTold",
    "ReplicaAssigned",
    "Report",
    "ReportMade",
    "RequestTold",
    "RequestsServed",
    "RequestsStand",
    "RetrainDecided",
    "RetrainEnded",
    "RetrainRunEnded",
    "RetrainRunUnseen",
    "RetrainWish",
    "RunsStand",
    "SchemaChanged",
    "ServiceJudged",
    "ServiceLearning",
    "ServiceLearnt",
    "SourceAnswered",
    "SourceTroubled",
    "StateBegun",
    "StateLost",
    "StateRecovered",
    "StateReset",
    "SubgroupCharted",
    "TopicsMissing",
    "TrackPoint",
    "UsualLatency",
    "VersionChanged",
    "VersionSeen",
    "VersionTold",
    "VersionsStand",
    "WatermarkAdvanced",
    "WebAccessChanged",
    "WindowClosed",
    "WindowIds",
    "WindowRequests",
    "WindowScored",
    "WindowSpan",
    "WorthTold",
]
