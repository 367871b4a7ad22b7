import type { ChatMarkers } from './family';

/** Qwen's ChatML, which its descendants share; their checkpoints have templates. */
export const chatMl: ChatMarkers = { endOfTurn: '<|im_end|>' };

/** The markers of inclusionAI's LLaDA models. */
export const roleMarkers: ChatMarkers = {
  endOfTurn: '<|role_end|>',
  template: [
    "{% set names = {'system': 'SYSTEM', 'user': 'HUMAN', 'assistant': 'ASSISTANT'} %}",
    '{% for message in messages %}',
    "{{ '<role>' + names[message.role] + '</role>' + message.content + '<|role_end|>' }}",
    '{% endfor %}',
    "{% if add_generation_prompt %}{{ '<role>ASSISTANT</role>' }}{% endif %}",
  ].join(''),
};

/** LLaDA's markers, which are Llama 3's. */
export const headerMarkers: ChatMarkers = {
  endOfTurn: '<|eot_id|>',
  template: [
    "{{ '<|startoftext|>' }}",
    '{% for message in messages %}',
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}",
    '{% endfor %}',
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
  ].join(''),
};

/** ChatML with the system message that Dream was trained with. */
export const dreamMarkers: ChatMarkers = {
  ...chatMl,
  template: [
    "{% if messages[0].role != 'system' %}",
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}",
    '{% endif %}{% for message in messages %}',
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}",
    '{% endfor %}',
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  ].join(''),
};
