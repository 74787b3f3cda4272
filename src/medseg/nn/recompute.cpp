#include "medseg/nn/recompute.h"

namespace medseg {
namespace {

using Part = std::function<torch::Tensor(const torch::Tensor&)>;

/// Carries a part through torch's argument list.
struct PartHolder : torch::CustomClassHolder {
    explicit PartHolder(Part function) : part(std::move(function)) {}
    Part part;
};

class Recomputation : public torch::autograd::Function<Recomputation> {
  public:
    static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                                 const c10::intrusive_ptr<PartHolder>& holder) {
        context->save_for_backward({x});
        context->saved_data["part"] = c10::IValue::make_capsule(holder);
        const torch::NoGradGuard noGradient;
        return holder->part(x);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   const torch::autograd::variable_list& gradients) {
        const auto capsule = context->saved_data["part"].toCapsule();
        const auto& holder = static_cast<const PartHolder&>(*capsule);
        const torch::Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
        {
            const torch::AutoGradMode gradientsOn(true);
            holder.part(x).backward(gradients[0]);
        }
        return {x.grad(), torch::Tensor()};
    }
};

}  // namespace

torch::Tensor recomputed(const Part& part, const torch::Tensor& x) {
    if (!torch::GradMode::is_enabled() || !x.requires_grad()) return part(x);
    return Recomputation::apply(x, c10::make_intrusive<PartHolder>(part));
}

}  // namespace medseg
