#include "medseg/dataset/case_pipeline.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/case_record.h"
#include "medseg/dataset/memory_budget.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

/// Two processes in one folder would sweep each other's temporary files.
class FolderLock {
  public:
    explicit FolderLock(const fs::path& folder) : descriptor_(::open(folder.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
        ::close(descriptor_);
        throw WorkError(folder.string(), "another medseg is preparing into this folder: wait for it or choose another");
    }
    ~FolderLock() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

  private:
    int descriptor_;  // the folder itself; where the file system has no locks, there is none
};

void requireIds(const std::vector<PipelineCase>& cases) {
    std::set<std::string> seen;
    for (const PipelineCase& item : cases) {
        if (item.id.empty() || item.id.front() == '.' || item.id.find('/') != std::string::npos)
            throw UsageError(fmt::format("case name \"{}\" cannot be a file name", item.id));
        if (!seen.insert(item.id).second)
            throw UsageError(fmt::format("two cases are named \"{}\": names must differ", item.id));
    }
}

void writePreview(const fs::path& output, const std::string& id, const CasePreview& preview) {
    if (preview.tiles() == 0) return;
    NpyArray array{NpyType::U8, {2, preview.tiles(), preview.height, preview.width}, preview.gray};
    array.bytes.insert(array.bytes.end(), preview.labels.begin(), preview.labels.end());
    writeNpy(casePreviewPath(output, id), array);
}

/// Runs one form on all cases; shared by the worker threads.
class CasePipeline {
  public:
    CasePipeline(const CaseForm& form, const std::vector<PipelineCase>& cases, const fs::path& output)
        : form_(form), cases_(cases), output_(output), budget_(availableMemoryShare()), records_(cases.size()) {}

    CasePipelineResult run() {
        const std::vector<std::string> problems =
            forEachCase("prepare", cases_.size(), [this](std::size_t index) { runCase(index); });
        CasePipelineResult result{.prepared = prepared_, .reused = reused_, .records = {}, .failures = {}};
        for (std::size_t i = 0; i < cases_.size(); ++i) {
            if (!problems[i].empty()) result.failures.push_back({cases_[i].id, problems[i]});
            if (!records_[i]) continue;
            if (!records_[i]->warning.empty()) logWarning("{}: {}", cases_[i].id, records_[i]->warning);
            result.records.push_back(std::move(*records_[i]));
        }
        writeManifest(result);
        return result;
    }

  private:
    void runCase(std::size_t index) {
        const PipelineCase& item = cases_[index];
        const std::optional<CaseRecord> old = findPipelineRecord(output_, item.id);
        try {
            const Json inputs = describeInputs(item, old ? &*old : nullptr);
            const std::string fingerprint = caseFingerprint(form_, item, inputs);
            if (old && old->fingerprint == fingerprint && filesUnchanged(output_, *old)) {
                records_[index] = old;
                records_[index]->inputs = inputs;
                ++reused_;
                return;
            }
            if (old) removeCaseFiles(output_, *old);
            const MemoryBudget::Share share(budget_, form_.memory(item));
            throwIfInterrupted();
            records_[index] = prepareCase(item, inputs, fingerprint);
            ++prepared_;
        } catch (const DataError&) {
            if (old) removeCaseFiles(output_, *old);
            throw;
        }
    }

    CaseRecord prepareCase(const PipelineCase& item, const Json& inputs, const std::string& fingerprint) const {
        const CaseFolder folder(output_, item.id);
        const CaseSummary summary = form_.process(item, folder.path());
        CaseRecord record{.id = item.id,
                          .fingerprint = fingerprint,
                          .inputs = inputs,
                          .parameters = item.parameters,
                          .files = folder.listFiles(),
                          .values = summary.values,
                          .warning = summary.warning};
        writePreview(output_, item.id, summary.preview);
        // Recorded before they are moved: a run that finds some of them missing knows what to remove.
        writePipelineRecord(output_, record);
        folder.moveFiles(record.files);
        return record;
    }

    void writeManifest(const CasePipelineResult& result) const {
        Json manifest{{"form", form_.name}, {"version", form_.version}, {"parameters", form_.parameters}};
        manifest["cases"] = Json::array();
        for (const CaseRecord& record : result.records) manifest["cases"].push_back(caseRecordToJson(record));
        manifest["failures"] = Json::array();
        for (const CaseFailure& failure : result.failures)
            manifest["failures"].push_back({{"id", failure.id}, {"problem", failure.message}});
        writeTextFile(output_ / "manifest.json", manifest.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
    }

    const CaseForm& form_;
    const std::vector<PipelineCase>& cases_;
    const fs::path& output_;
    MemoryBudget budget_;
    std::vector<std::optional<CaseRecord>> records_;
    std::atomic<int> prepared_{0}, reused_{0};
};

}  // namespace

std::vector<std::string> forEachCase(const std::string& label, std::size_t count,
                                     const std::function<void(std::size_t)>& body) {
    std::vector<std::string> problems(count);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::exception_ptr fatal;
    Progress progress(label, static_cast<std::int64_t>(count), "cases");
    const auto work = [&] {
        for (std::size_t index = next++; index < count && !stop; index = next++) {
            try {
                throwIfInterrupted();
                body(index);
                progress.advance();
            } catch (const DataError& problem) {
                problems[index] = problem.what();
                progress.advance();
            } catch (...) {
                stop = true;
                const std::lock_guard lock(mutex);
                if (!fatal) fatal = std::current_exception();
            }
        }
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < std::min(count, static_cast<std::size_t>(threadCount())); ++i)
        threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    if (fatal) std::rethrow_exception(fatal);
    progress.finish();
    return problems;
}

CasePipelineResult runCasePipeline(const CaseForm& form, const std::vector<PipelineCase>& cases,
                                   const fs::path& output) {
    requireIds(cases);
    createDirectories(output / "cases");
    const FolderLock lock(output);
    removeUnfinished(output);
    return CasePipeline(form, cases, output).run();
}

CasePreview readCasePreview(const fs::path& output, const std::string& id) {
    std::error_code error;
    const fs::path path = casePreviewPath(output, id);
    if (!fs::exists(path, error)) return {};
    const NpyArray array = readNpy(path);
    if (array.type != NpyType::U8 || array.shape.size() != 4 || array.shape[0] != 2)
        throw DataError(path.string(), "is no preview: prepare again");
    const auto half = array.bytes.begin() + static_cast<std::ptrdiff_t>(array.bytes.size() / 2);
    return {array.shape[3], array.shape[2], {array.bytes.begin(), half}, {half, array.bytes.end()}};
}

}  // namespace medseg
