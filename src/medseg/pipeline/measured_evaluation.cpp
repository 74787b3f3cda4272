#include "medseg/pipeline/measured_evaluation.h"

#include "medseg/report/evaluation_charts.h"

namespace medseg {

EvaluationSummary evaluateMeasured(const EvaluateSettings& settings, const RunFolders& folders) {
    EvaluationRequest request;
    request.reference = folders.measured / "reference";
    request.prediction = folders.measured / "prediction";
    request.output = folders.evaluation;
    request.layout = CaseLayout::Cases;
    request.metrics = settings.metrics;
    request.iouThresholds = settings.iouThresholds;
    request.nsdTolerance = settings.nsdTolerance;
    request.minimumVoxels = settings.minimumVoxels;
    EvaluationSummary summary = evaluate(request);
    writeEvaluationCharts(summary, folders.evaluation);
    return summary;
}

}  // namespace medseg
